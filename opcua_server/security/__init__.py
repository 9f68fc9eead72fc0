"""Who may connect, who they are, and what they may do.

    access     roles: who may call which command and write which node           pure
    lockout    how many wrong passwords are too many                            pure
    users      from an identity token to a role
    rights     which method is which command, and which nodes are results
    server     the address space's server with all of the above

The doors themselves are ``opcua_server.engine``. docs/security.md says what holds and what does not hold yet.
"""
