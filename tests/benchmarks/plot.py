"""The acceptance table as a picture: requests a second over streams, both logarithmic."""
import math

WIDTH, HEIGHT, LEFT, TOP = 640, 400, 80, 50
COLORS = {"floor": "#999", "postern": "#06c", "node": "#393", "postgres": "#c60"}


def ticks(low, high):
    """1, 10, 100 … that enclose both."""
    return [10 ** n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def draw(title, series, path):
    """`series`: name -> [(streams, requests a second)], each in rising order."""
    points = [point for line in series.values() for point in line]
    streams = sorted({x for x, _ in points})
    rates = ticks(min(y for _, y in points), max(y for _, y in points))

    def x_of(x):
        return LEFT + WIDTH * math.log(x / streams[0]) / math.log(streams[-1] / streams[0])

    def y_of(y):
        return TOP + HEIGHT * (1 - math.log(y / rates[0]) / math.log(rates[-1] / rates[0]))

    bottom = TOP + HEIGHT
    parts = [f'<text x="{LEFT}" y="24" font-size="16">{title}</text>']
    for rate in rates:
        parts.append(f'<path d="M{LEFT} {y_of(rate):.1f}h{WIDTH}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 8}" y="{y_of(rate) + 4:.1f}" text-anchor="end">{rate:,}</text>')
    for count in streams:
        parts.append(f'<path d="M{x_of(count):.1f} {TOP}v{HEIGHT}" stroke="#ddd"/>'
                     f'<text x="{x_of(count):.1f}" y="{bottom + 18}" text-anchor="middle">'
                     f'{count:,}</text>')
    parts.append(f'<text x="{LEFT + WIDTH / 2}" y="{bottom + 40}" text-anchor="middle">'
                 f'streams that send one request at a time</text>'
                 f'<text x="{LEFT - 8}" y="{TOP - 10}" text-anchor="end">requests/s</text>')
    for name, line in series.items():
        color = COLORS.get(name, "#000")
        way = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line)
        last_x, last_y = line[-1]
        parts.append(f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3" fill="{color}"/>'
                  for x, y in line]
        parts.append(f'<text x="{x_of(last_x) + 8:.1f}" y="{y_of(last_y) + 4:.1f}" fill="{color}">'
                     f'{name}</text>')
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" '
                    f'height="{bottom + 60}" font-family="sans-serif" font-size="13">'
                    f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n')
