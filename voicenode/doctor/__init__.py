"""Examines a machine and the node on it: what is as it should be, what is not, and what to do.

Light on purpose: the interpreters of engines import `voicenode.doctor.probe`.
"""
