"""Every figure of the course, one module a subject; `style` is what they share.

A figure function takes data, never a notebook's state, and returns a `style.Picture`: an image that carries
its own alternative text. Import the module you need (`from course.figures import training`); nothing is
imported from here.
"""
