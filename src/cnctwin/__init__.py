"""The command line and what the three programs share: readings, settings, the OPC UA link, supervision."""

__version__ = "0.1.0"
PRODUCT_URI = "urn:cnctwin:product:server"
"""What our server says that it is."""
