"""The ways out: to a mail server, to a service, to a terminal, to a folder, and by a host's queue of jobs."""
