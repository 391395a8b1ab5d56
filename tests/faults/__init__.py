"""Faults: what becomes of a verb that is killed, and of files, disks, clocks and limits that are not as they should be.

Each is drawn with a seed and bounded in time; LOOOP_LONG=1 tries all of them.
"""
