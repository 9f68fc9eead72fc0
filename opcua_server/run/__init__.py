"""How machines run in the server: when they step, where their state and programs are kept, who writes their results.

schedule     when the next tick is due, without drift       pure
results      how old the analytics' results are             pure
checkpoints  state files, written whole or not at all
programs     the folder of NC programs
machine      one source and its nodes; what fails stays its own
serverinfo   what the server says about itself
"""
