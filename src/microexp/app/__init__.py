"""The web page: drop a video, see what `microexp analyze` shows of it; magnify and upscale, before and after.

In: what a visitor of the page uploads. Out: pages, pictures and videos, kept until the visit ends. All is
computed on the machine that runs it, and the page asks no other host for anything. `work` is what the page
can do and knows nothing of the web; `rooms` keeps the files of each visitor apart; `page` and `server` need
gradio.
"""
