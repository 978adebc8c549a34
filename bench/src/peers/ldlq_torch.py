"""Block LDLQ at 2 bits in PyTorch, the way the paper's authors describe it, written from the format's description: the
peer of our quantizer. Times the parts on one thread and prints them as JSON; all greedy passes cost the same, so one is
run and multiplied.

Arguments: rows, columns, greedy passes.
"""

import itertools
import json
import sys
import time

import torch

torch.set_num_threads(1)
torch.manual_seed(0)
ROWS, COLS, PASSES = (int(a) for a in sys.argv[1:4])
GROUP = 128
NORM_12 = (
    "31113333 13113333 11313333 11133333 33313311 33313131 33311331 33313113 33311313 33311133 33133311 33133131 "
    "33131331 33133113 33131313 33131133 31333311 31333131 31331331 31333113 31331313 13331133 13333311 13333131 "
    "13331331 13333113 13331313 11331333 33113331"
)


def table():
    """S: the 256 rows of magnitudes."""
    rows = [v for v in itertools.product((0.5, 1.5, 2.5), repeat=8) if sum(x * x for x in v) <= 10]
    rows += [tuple(int(c) / 2 for c in v) for v in NORM_12.split()]
    return torch.tensor(rows)


def part(s):
    """The points of D8 + 1/2 with at most one negative among coordinates 0..6, that one -1/2; coordinate 7 is free."""
    points = []
    for row in s:
        odd = int(row.sum()) % 2
        for flip in [None] + [c for c in range(7) if row[c] == 0.5]:
            v = row.clone()
            if flip is not None:
                v[flip] = -v[flip]
            if odd != (flip is not None):
                v[7] = -v[7]
            points.append(v)
    return torch.stack(points)


S = table()
PART = part(S)
PART_T = PART.T.contiguous()
PART_NORM = (PART * PART).sum(1)
# Code of a row: every magnitude is 1/2, 3/2 or 5/2, so a base-3 number identifies it.
POWERS = 3 ** torch.arange(8)
INDEX = torch.zeros(6561, dtype=torch.long)
INDEX[((S - 0.5).long() * POWERS).sum(1)] = torch.arange(256)


def nearest_shifted(z):
    odd = (z < 0).sum(1) % 2 == 1
    mask = 1 - 2 * (z < 0).float()
    mask[odd, 7] = -mask[odd, 7]
    at = (2 * (z * mask) @ PART_T - PART_NORM).argmax(1)
    values = PART[at] * mask
    return values, (z - values).norm(dim=1)


def nearest(x):
    plus, error_plus = nearest_shifted(x + 0.25)
    minus, error_minus = nearest_shifted(x - 0.25)
    choose = error_plus < error_minus
    values = torch.where(choose[:, None], plus - 0.25, minus + 0.25)
    half = torch.where(choose[:, None], plus, minus)
    codes = INDEX[((half.abs() - 0.5).long() * POWERS).sum(1)] << 8
    codes |= ((half < 0).long() << torch.tensor([0, 4, 1, 5, 2, 6, 3, 7])).sum(1)
    return values, codes


def transformed(x):
    """Rows through a Walsh-Hadamard transform of a power of two."""
    n = x.shape[1]
    y = x.clone()
    h = 1
    while h < n:
        y = y.view(x.shape[0], n // (2 * h), 2, h)
        y = torch.stack((y[:, :, 0] + y[:, :, 1], y[:, :, 0] - y[:, :, 1]), 2).view(x.shape[0], n)
        h *= 2
    return y / n**0.5


def block_ldl(h):
    n = h.shape[0]
    c = torch.linalg.cholesky(h)
    l = c.view(n, n // 8, 8).permute(1, 0, 2)
    d = torch.stack([c[i : i + 8, i : i + 8] for i in range(0, n, 8)])
    return torch.linalg.solve_triangular(d, l, upper=False, left=False).permute(1, 0, 2).reshape(n, n)


def feedback(x, l):
    m, n = x.shape
    q = torch.zeros_like(x)
    codes = torch.zeros(m, n // 8, dtype=torch.long)
    cache = torch.zeros(n, m)
    for end in range(n, 0, -GROUP):
        start = max(0, end - GROUP)
        for k in range(end - 8, start - 1, -8):
            t = x[:, k : k + 8] + (x[:, k + 8 : end] - q[:, k + 8 : end]) @ l[k + 8 : end, k : k + 8]
            q[:, k : k + 8], codes[:, k // 8] = nearest(t + cache[k : k + 8].T)
        cache += l[start:end].T @ (x[:, start:end] - q[:, start:end]).T
    return q, codes


def greedy(x, q, h, codes):
    m, n = x.shape
    inverse = torch.stack([torch.linalg.inv(h[i : i + 8, i : i + 8]) for i in range(0, n, 8)])
    product = h @ (x - q).T
    for end in range(n, 0, -GROUP):
        start = max(0, end - GROUP)
        before = q[:, start:end].clone()
        for k in range(end - 8, start - 1, -8):
            e = product[k : k + 8].T + (before - q[:, start:end]) @ h[start:end, k : k + 8]
            q[:, k : k + 8], codes[:, k // 8] = nearest(q[:, k : k + 8] + e @ inverse[k // 8])
        product -= h[:, start:end] @ (q[:, start:end] - before).T


def timed(work):
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def main():
    w = 0.02 * torch.randn(ROWS, COLS)
    i = torch.arange(COLS)
    amplitude = 1 + 0.5 * torch.sin(i.float())
    h = 0.9 ** (i[:, None] - i[None, :]).abs() * amplitude[:, None] * amplitude[None, :]
    nearest(torch.randn(64, 8))
    seconds = {}

    def incoherent():
        su, sv = torch.randn(COLS).sign(), torch.randn(ROWS).sign()
        hr = transformed(transformed((h / h.diag().mean() + 0.01 * torch.eye(COLS)) * su * su[:, None]).T).T
        wr = transformed(transformed((w * su * sv[:, None]).T.contiguous()).T.contiguous())
        return hr, wr / (wr.square().mean().sqrt() / 0.9)

    (hr, x), seconds["incoherence"] = timed(incoherent)
    l, seconds["block LDL"] = timed(lambda: block_ldl(hr))
    (q, codes), seconds["feedback"] = timed(lambda: feedback(x, l))
    _, seconds["greedy pass"] = timed(lambda: greedy(x, q, hr, codes))
    total = sum(seconds.values()) + (PASSES - 1) * seconds["greedy pass"]
    error = ((x - q).square().mean() / x.square().mean()).item()
    print(json.dumps({"seconds": total, "parts": seconds, "relative error": error, "torch": torch.__version__}))


main()
