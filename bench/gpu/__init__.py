"""One command that measures inglenook on a machine with a card and no network; the folder it needs is packed here.

    make bench-gpu-pack                 here: writes build/gpu, under 60 MB
    sh build/gpu/run                    there: builds for the card, runs the steps of steps.py, prints a table

What runs before the packages are unpacked uses the standard library only: __main__, budget, build, packages, rows,
session, steps, toolkit.
"""
