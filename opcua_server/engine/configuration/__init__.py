"""ServerConfiguration (OPC 10000-12, 7.10): certificates and trust list are managed over OPC UA, by administrators, encrypted.

arguments    what a method is given: count and types                       pure
own          a new certificate for ourselves: request, check, apply
trust_file   the trust list as a file that is read and written
room         the methods on their objects, and what the objects show
"""
