"""Errors that a user can correct; each message is one line that names the remedy."""


class DescentError(Exception):
    """Base of every error that a user can mend; a stage prints it without a traceback."""


class ParamsError(DescentError):
    """`params.yaml` cannot be read, or a key of it is missing, surplus, mistyped or out of range."""


class DataError(DescentError):
    """A data or weight file is missing, damaged, or not of the expected shape."""


class DownloadError(DescentError):
    """No mirror delivered a file with the published hash."""


class StudyError(DescentError):
    """Trials of a study failed; the message says which, and why."""
