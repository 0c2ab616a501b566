"""The words of the command line, one file each: HELP, add_arguments, command."""
