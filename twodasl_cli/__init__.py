"""The command line `twodasl`: options in, one call, text out."""
