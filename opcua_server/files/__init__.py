"""NC programs as files over OPC UA (OPC 10000-20): FileSystem/WorkMasters of each machine.

handles   files that are open: content, position, who may what     pure
transfer  results as temporary files, for who generates them
register  which node is which program of which machine
room      the methods of FileType and FileDirectoryType on them
"""
