"""The navigation beside the pages of source code, computed once for each depth of folders.

It is the same on all of them but for the ``../`` of its links. The theme would compute it for each of some two hundred
pages anew, which takes a good part of a build.
"""


def setup(app):
    known = {}

    def remember_navigation(app, page, template, context, doctree):
        if not page.startswith("_modules/"):
            return
        of_this_page, depth = context["toctree"], page.count("/")

        def toctree(**options):
            key = (depth, *sorted(options.items()))
            if key not in known:
                known[key] = of_this_page(**options)
            return known[key]

        context["toctree"] = toctree

    app.connect("html-page-context", remember_navigation, priority=100)  # before the theme asks for it
    return {"parallel_read_safe": True, "parallel_write_safe": True}
