"""The processes, top floor: jobs, worker, schedule, web, embedded servers and the command line."""
