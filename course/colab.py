"""What Colab has and other places do not: a disk that outlives the machine."""

from pathlib import Path

from helpers.errors import CourseError, first_line

MOUNT = Path("/content/drive")


def is_here() -> bool:
    """Whether this is Colab."""
    try:
        from google.colab import drive  # noqa: F401
    except ImportError:
        return False
    return True


def drive_folder(name: str = "gpt2-course") -> Path:
    """A folder on your Google Drive, which Colab asks your leave to use; it is made if it is not there.

    Raises:
        CourseError: this is not Colab, or leave was not given.
    """
    try:
        from google.colab import drive
    except ImportError as error:
        raise CourseError("there is no Google Drive here, because this is not Colab") from error
    try:
        drive.mount(str(MOUNT))
        folder = MOUNT / "MyDrive" / name
        folder.mkdir(parents=True, exist_ok=True)
    except Exception as error:  # Colab raises errors of its own, which nothing else has
        raise CourseError(
            f"Google Drive was not mounted ({first_line(error)}): the run stays on this machine and is gone with it, "
            "unless you run this again and allow it when Colab asks"
        ) from error
    return folder
