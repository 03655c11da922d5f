"""The one writer of PDFs in the tests: small valid files, with the metadata and the text that a test wants."""


def make_pdf(text: str, *, title: str = "", doi: str = "", pages: int = 1, padding: int = 0) -> bytes:
    """Make a PDF.

    Args:
        text: what its first page says; the others are empty.
        title: of its metadata.
        doi: of its metadata.
        pages: how many it has.
        padding: how many zero bytes to add, in a stream that no page shows.
    """
    content = f"BT /F1 12 Tf 72 720 Td ({_escaped(text)}) Tj ET".encode()
    kids = " ".join(f"{6 + number} 0 R" for number in range(pages))
    page = "/Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Title ({_escaped(title)}) /doi ({_escaped(doi)}) >>".encode(),
        _stream(content),
        *(f"<< {page}{'' if number else ' /Contents 5 0 R'} >>".encode() for number in range(pages)),
        *([_stream(bytes(padding))] if padding else []),
    ]
    pdf, offsets = bytearray(b"%PDF-1.4\n"), list[int]()
    for number, body in enumerate(objects, 1):
        offsets.append(len(pdf))
        pdf += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start, size = len(pdf), len(objects) + 1
    pdf += b"xref\n0 %d\n0000000000 65535 f \n" % size
    pdf += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    pdf += b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
    return bytes(pdf)


def _escaped(text: str) -> str:
    """Keep a parenthesis in a text from ending it."""
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _stream(content: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content)
