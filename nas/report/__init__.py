"""``report.html``: one file that shows a model or a search, offline, without scripts.

- ``content``: what a report can show; ``data``: its figures as JSON, which the page holds as well
- ``page``: the page and its sections; ``markup``: elements, escaped; ``style.css``: its look
- ``chart``: axes and marks; ``axis``: numbers to places, ticks, words
- ``accuracy``, ``cycles``, ``roofline``, ``noise``, ``tiles``: figures
- ``pictures``: images with answers, and what the class token attends to
"""
