"""`python -m gofer.cli`: the same as `gofer`."""

from gofer.cli import main

if __name__ == "__main__":
    main()
