from cnctwin.cli import main

main()
