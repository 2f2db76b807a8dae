"""What the notebooks of the course import. Start with `helpers.course`; nothing heavy is imported here."""
