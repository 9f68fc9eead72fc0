"""Who may connect, who they are, and what they may do.

    access     roles: who may call which command and write which node           pure
    lockout    how many wrong passwords are too many                            pure
    users      from an identity token to a role
    service    the services every session gets, bounded and checked
    channel    the connection: certificate, policy, limits, session binding     wiring of asyncua 2.1.0, and only here:
    server     endpoints, and the server that uses all of the above             tests/opcua_server/security/test_assumptions.py

docs/security.md says what holds and what does not hold yet.
"""
