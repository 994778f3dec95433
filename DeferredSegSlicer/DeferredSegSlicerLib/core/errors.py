"""Errors that carry one sentence the user can act on, and the exit code that the command line gives for them."""


class DeferredSegError(Exception):
    """Base of every error that is meant for the user's eyes.

    The message is one sentence that names the thing that is wrong and what was expected.
    `exit_code` is what `deferredseg` returns to the shell.
    """

    exit_code = 2

    @property
    def sentence(self) -> str:
        """The message on a single line."""
        return " ".join(str(self).split())


class BadInputError(DeferredSegError, ValueError):
    """The image, a prompt, a setting or a path cannot be used; nothing was written."""

    exit_code = 2


class DeviceError(DeferredSegError, RuntimeError):
    """The compute device is missing, does not work, or ran out of memory."""

    exit_code = 3


class DamagedCaseError(DeferredSegError, ValueError):
    """A case folder is not whole: a changed, missing, oversized or unsafe file, or a newer schema."""

    exit_code = 4
