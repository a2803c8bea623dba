"""The figures of the dashboards: counted by the schedule, read by the page, drawn as charts. None is about a person."""
