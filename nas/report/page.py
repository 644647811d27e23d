"""The page: one HTML file with its own style, drawings and data, that loads nothing."""

from importlib.resources import files
from pathlib import Path
from xml.etree.ElementTree import Element

from nas.producer import producer
from nas.report.accuracy import front_figure, quality_figure
from nas.report.content import Network, Report
from nas.report.cycles import cycles_figure
from nas.report.data import embedded, report_data
from nas.report.markup import Content, element, written
from nas.report.noise import noise_figure
from nas.report.pictures import picture_card
from nas.report.roofline import roofline_figure
from nas.report.tiles import tiles_figure
from rtl.files import atomic_write

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Said to browsers, which then refuse whatever a page would load or run."""
ATTENTION = (
    "Attention is that of the class token to the patches in the last block, the mean of its heads;"
    " of a network without a class token there, the mean of the patches'."
)
TOKENS = (
    " Tokens are coloured by the three directions in which those of the float network differ most."
)
DATA = "data"
"""Identity of the element with the figures as JSON."""


def write_report(report: Report, path: Path) -> None:
    """Write a report; the file appears whole or not at all."""
    text = page(report)
    with atomic_write(path, "w") as file:
        file.write(text)


def page(report: Report) -> str:
    """Return a report as HTML."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="color-scheme", content="light dark"),
        element("title", report.title),
        element("style", files("nas.report").joinpath("style.css").read_text(encoding="utf-8")),
    )
    data = element("script", embedded(report_data(report)), type="application/json", id=DATA)
    main = element(
        "main",
        element("h1", report.title),
        element("p", report.lead, class_="lead"),
        _facts(report),
        *_results(report),
        *(part for network in report.networks for part in _network(network, report)),
        *_pictures(report),
        element("footer", f"Made by {producer()}. All figures are in this file as JSON."),
    )
    found = element("html", head, element("body", main, data), lang="en")
    return f"<!doctype html>\n{written(found)}\n"


def _facts(report: Report) -> Element:
    facts = [
        element(
            "div",
            element("dt", fact.name),
            element("dd", fact.value, element("small", fact.remark) if fact.remark else None),
            class_="fact",
        )
        for fact in report.facts
    ]
    return element("dl", *facts, class_="facts")


def _results(report: Report) -> list[Content]:
    cards = []
    if report.front:
        cards.append(_card("What the search found", front_figure(report.front)))
    if report.quality:
        name = f"{report.quality.name.capitalize()} against cycles"
        cards.append(_card(name, quality_figure(report.quality)))
    if report.noise:
        cards.append(_card("Error budget", noise_figure(report.noise)))
    return [element("h2", "Results"), element("div", *cards, class_="grid")] if cards else []


def _network(network: Network, report: Report) -> list[Content]:
    """Show the weights' bits, the cycles and the roofline of a network."""
    board, engine = network.hardware.board, network.hardware.engine
    where = f"Board {board.name}, engine {engine.name}, {board.clock_hz / 1e6:g} MHz."
    cards = [_card("Bits by tile", tiles_figure(network.shape))]
    if network.estimate:
        cards.append(_card("Cycles by layer", cycles_figure(network.estimate)))
        cards.append(_card("Roofline", roofline_figure(network.estimate)))
    else:
        where = f"{where} The engine refuses the network: {network.refusal}."
    title = "Weights and cycles" if len(report.networks) == 1 else network.name
    return [
        element("h2", title),
        element("p", where, class_="note"),
        element("div", *cards, class_="grid"),
    ]


def _pictures(report: Report) -> list[Content]:
    if not report.pictures:
        return []
    cards = [picture_card(each) for each in report.pictures]
    said = ATTENTION + TOKENS * any("tokens" in each.maps for each in report.pictures)
    return [
        element("h2", "Images and answers"),
        element("p", said, class_="note"),
        element("div", *cards, class_="pictures"),
    ]


def _card(title: str, content: Element) -> Element:
    return element("section", element("h3", title), content, class_="card")
