"""Job orders by OPC 10031-4: what is ordered, in which state each order is, and how the machine carries it out.

orders  an order, its states and which transition is allowed        pure
book    all orders of one machine, and what the methods do to them   pure, its state survives a restart
runner  starts what is due on the machine and follows what becomes of it
"""
