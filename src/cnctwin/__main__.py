import signal

# Ctrl-C while modules are read ends this as it ends any command, without a traceback; later it is the command's own.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from cnctwin.cli import main  # noqa: E402 - behind it

signal.signal(signal.SIGINT, signal.default_int_handler)
main()
