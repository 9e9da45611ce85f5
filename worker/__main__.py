"""`python -m worker`."""

import logging
import os
import sys

from worker.main import main

code = main()
logging.shutdown()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)  # not sys.exit: a lane that hangs, or RQ's timer of its job, would keep the process for an hour
