"""Raw bytes, well formed and not: both servers must answer with the same bytes and close the connection at the same point."""

import socket

PADDING = b"x" * (1 << 17)
CURSORS = [b"-1", b"-0", b"+1", b"00", b"\"\"", b"\"1\\x00x\"", b"9223372036854775808", b"-9223372036854775808", b"18446744073709551615",
           b"-18446744073709551615", b"18446744073709551616", b"-18446744073709551616", b"-", b"--1", b"\" 1\"", b"1.0", b"0x1", b"1e3"]
REQUESTS = [
    b"PING\r\n",
    b"PING\n",
    b"  PING  \r\n",
    b"\r\n\r\nPING\r\n",
    b"set 'a b' \"c\\x41\\n\"\r\nget 'a b'\r\n",
    b"get \"unbalanced\r\nPING\r\n",
    b"get 'a'b\r\nPING\r\n",
    b"*0\r\nPING\r\n",
    b"*-1\r\nPING\r\n",
    b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
    b"*2\r\n$4\r\nECHO\r\n$5\r\na\r\nb\x00\r\n",
    b"*x\r\nPING\r\n",
    b"*2147483648\r\n",
    b"*99999999999999999999\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$99999999999999999999\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n:4\r\nPING\r\n",
    b"*1\r\n$0\r\n\r\nPING\r\n",
    b"*2\r\n$3\r\nGET\r\n",
    b"*1\r\n$4\r\nPI",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    b"*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n",
    b"PING\r\n*x\r\n",
    b"PING\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\nPING\r\n",
    b"PING\r\nhost: a\r\nPING\r\n",
    b"GET / HTTP/1.1\r\nHOST: a\r\n\r\nPING\r\n",
    # A line with a NUL byte never ends: it is too long in the end.
    b"PING\x00\r\nPING\r\n" + PADDING,
    b"PING\r\nPI\x00NG\r\n" + PADDING,
    b"\x00\n" + PADDING,
    b"\"a\x00b\"\r\n" + PADDING,
    b"*1\x00\r\n$4\r\nPING\r\n" + PADDING,
    b"*\x001\r\n" + PADDING,
    b"*1\r\n$4\x00\r\nPING\r\n" + PADDING,
    b"*1\r\n\x004\r\n" + PADDING,
    b"*1\r\x00$4\r\x00PING\r\nPING\r\n",
    # Any cursor begins at the beginning of a small hash or a set of a few integers, and finds nothing in an empty database.
    *(b"DEL h s\r\nHSET h f v\r\nSADD s 1\r\nHSCAN h %b\r\nHSCAN h %b COUNT 1\r\nSSCAN s %b\r\nHSCAN h %b x\r\nHSCAN absent %b x\r\n"
      b"SSCAN s %b COUNT 0\r\nFLUSHALL\r\nSCAN %b\r\n" % ((cursor,) * 7) for cursor in CURSORS),
    b"CLIENT SETNAME me\r\nCLIENT GETNAME\r\nRESET\r\nCLIENT GETNAME\r\n",
    # Transactions.
    b"EXEC\r\nDISCARD\r\nMULTI\r\nMULTI\r\nEXEC\r\nUNWATCH\r\n",
    b"DEL a b\r\nMULTI\r\nSET a 1\r\nINCR a\r\nGET a\r\nINCR a\r\nEXEC\r\nGET a\r\n",
    b"DEL a b\r\nMULTI\r\nSET a x\r\nSADD a 1\r\nSET b y\r\nEXEC\r\nMGET a b\r\n",
    b"DEL a\r\nMULTI\r\nSET a\r\nSET a 1\r\nEXEC\r\nGET a\r\nEXEC\r\n",
    b"DEL a\r\nMULTI\r\nNOSUCH a\r\nSET a 1\r\nEXEC\r\nGET a\r\n",
    b"DEL a\r\nMULTI\r\nSET a 1\r\nDISCARD\r\nGET a\r\nEXEC\r\n",
    b"DEL a\r\nWATCH a\r\nSET a 1\r\nMULTI\r\nSET a 2\r\nEXEC\r\nGET a\r\nMULTI\r\nGET a\r\nEXEC\r\n",
    b"DEL a\r\nWATCH a\r\nSET b 1\r\nMULTI\r\nSET a 2\r\nEXEC\r\nGET a\r\n",
    b"DEL a\r\nWATCH a b\r\nSET a 1\r\nUNWATCH\r\nMULTI\r\nSET a 2\r\nEXEC\r\n",
    b"DEL a\r\nWATCH a\r\nSET a 1\r\nMULTI\r\nDISCARD\r\nMULTI\r\nGET a\r\nEXEC\r\n",
    b"SET a 1\r\nWATCH a\r\nSET a 1\r\nMULTI\r\nGET a\r\nEXEC\r\n",
    b"DEL s\r\nSADD s 1\r\nWATCH s\r\nSADD s 1\r\nMULTI\r\nSCARD s\r\nEXEC\r\nWATCH s\r\nSADD s 2\r\nMULTI\r\nSCARD s\r\nEXEC\r\n",
    b"SET a 1\r\nWATCH a\r\nEXPIRE a 100\r\nMULTI\r\nGET a\r\nEXEC\r\nWATCH a\r\nGET a\r\nTTL a\r\nMULTI\r\nGET a\r\nEXEC\r\n",
    b"MULTI\r\nWATCH a\r\nUNWATCH\r\nPING\r\nEXEC\r\nWATCH\r\n",
    b"MULTI\r\nSELECT 0\r\nECHO x\r\nCLIENT SETNAME me\r\nCLIENT GETNAME\r\nSET a 1\r\nGET a\r\nPING\r\nEXEC\r\n",
    b"MULTI\r\nCLIENT SETNAME me\r\nDISCARD\r\nCLIENT GETNAME\r\n",
    b"MULTI\r\nSHUTDOWN\r\nEXEC\r\n",
    b"MULTI\r\nSET a 1\r\nRESET\r\nEXEC\r\n",
    b"MULTI\r\nSET a 1\r\nQUIT\r\n",
    b"MULTI\r\nFLUSHALL\r\nDBSIZE\r\nSET a 1\r\nDBSIZE\r\nKEYS *\r\nEXEC\r\n",
    b"MULTI\r\nCLIENT REPLY SKIP\r\nPING\r\nEXEC\r\nPING\r\n",
    b"MULTI\r\nAUTH x y z\r\nAUTH x\r\nEXEC\r\n",
]


# Follows every request. Where it is understood, the reply to it is the end; else the server closes the connection, or takes the bytes for something else
# and repeats the word in an error.
LAST_WORD = b"the-last-word"
LAST = b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(LAST_WORD), LAST_WORD)


def exchange(port, request):
    """Sends the request and returns all that comes back up to the last word or the end of the connection."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(30)
        out = b""
        try:
            sock.sendall(request + LAST)
            while LAST_WORD not in out and (chunk := sock.recv(1 << 16)):
                out += chunk
        except ConnectionResetError:
            pass  # closed with some of the request unread
        return out[:out.find(LAST_WORD)] if LAST_WORD in out else out + b"(closed)"


def compare(redis_port, even_port):
    """Returns one line for each difference."""
    differences = []
    for request in REQUESTS:
        theirs, ours = exchange(redis_port, request), exchange(even_port, request)
        if theirs != ours:
            differences.append(f"raw request {request[:80]!r}\n  redis: {theirs!r}\n  even:  {ours!r}")
    return differences
