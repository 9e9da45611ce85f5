"""`python -m worker`."""

import gc
import logging
import os
import sys
from importlib import import_module

gc.disable()  # importing makes no garbage, and looking for it takes a fifth of the start
main = import_module("worker.main").main
gc.freeze()  # what was imported lives as long as the process
gc.enable()
code = main()
logging.shutdown()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)  # not sys.exit: a lane that hangs, or RQ's timer of its job, would keep the process for an hour
