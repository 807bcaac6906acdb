"""Becomes a program as a container runs it: become.py ROOT USER ENVIRONMENT COMMAND…"""

import ctypes
import json
import os
import resource
import sys

PR_SET_NO_NEW_PRIVS = 38

root, user, environment, *command = sys.argv[1:]
os.chroot(root)
os.chdir("/")
os.setgroups([])
os.setresgid(int(user), int(user), int(user))
# Takes all capabilities along.
os.setresuid(int(user), int(user), int(user))
if ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
    sys.exit("prctl: no_new_privs is refused")
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.execve(command[0], command, json.loads(environment))
