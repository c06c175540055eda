"""TLS, SASL and users' rights at the port for clients of topics: librdkafka and bare frames, on three nodes."""

import base64
import hashlib
import hmac
import socket
import struct
import subprocess

import pytest
import redis
from even_cluster import BIN, HOST, Cluster, until

kafka = pytest.importorskip("confluent_kafka")
admin_api = pytest.importorskip("confluent_kafka.admin")

MASTER = "the-master-word"
SECRET = "a-long-secret,with=both"
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
ALL_OF_TOPICS = ["+even.emit", "+even.fetch", "+even.topic", "+hset", "+hgetall", "+set",
                 "~__consumer_groups:*", "~__transactions:*"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An authority and a certificate that it signed, for TLS."""
    directory = tmp_path_factory.mktemp("tls")
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "n.key", "-out", "n.csr", "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", "n.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "n.crt",
            "-extfile", "names")
    return {"cert": str(directory / "n.crt"), "key": str(directory / "n.key"), "ca": str(directory / "ca.crt")}


@pytest.fixture
def make(tmp_path):
    clusters = []

    def make(nodes=3, options=None):
        cluster = Cluster(tmp_path, nodes=nodes, options=options)
        clusters.append(cluster)
        cluster.start()
        return cluster
    yield make
    for cluster in clusters:
        cluster.kill()


@pytest.fixture
def cluster(make):
    """Whoever does not log in may do nothing."""
    return make(options={"client.password": MASTER})


def tried(client, *words):
    try:
        return client.execute_command(*words)
    except redis.ResponseError as error:
        if any(word in str(error) for word in ("UNAVAILABLE", "TRYAGAIN", "PARTIAL", "UNCERTAIN")):
            return None
        raise


def run(cluster, *words, node="n1", **options):
    with cluster[node].client(password=MASTER, **options) as client:
        # A list of it, since a reply may be of nothing.
        return until(f"{words} is done", lambda: [reply] if (reply := tried(client, *words)) is not None else None)[0]


def create(cluster, topic, **options):
    run(cluster, "EVEN.TOPIC", "CREATE", topic, **options)


def servers(cluster):
    return ",".join(f"{HOST}:{node.kafka_port}" for node in cluster.running)


def as_user(cluster, mechanism="PLAIN", user="alice", password=SECRET, ca=None, **more):
    return {"bootstrap.servers": servers(cluster), "security.protocol": "SASL_SSL" if ca else "SASL_PLAINTEXT",
            "sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password,
            **({"ssl.ca.location": ca} if ca else {}), **more}


def produced(config, topic, values, timeout=30):
    """The errors of records, in order; None: it is there."""
    told = {}
    producer = kafka.Producer({"message.timeout.ms": timeout * 1000, **config})
    for value in values:
        producer.produce(topic, value, callback=lambda error, _, value=value: told.update({value: error}))
    assert producer.flush(timeout + 10) == 0
    return [told[value] for value in values]


def code_of(error):
    return error.code() if error is not None else None


def consumed(config, topic, count, group="g1"):
    """So many values of a topic, and what is committed for the group."""
    consumer = kafka.Consumer({"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, **config})
    try:
        consumer.subscribe([topic])
        values = []
        def poll():
            message = consumer.poll(1)
            if message is not None:
                assert message.error() is None, message.error()
                values.append(message.value().decode())
            return len(values) >= count
        until(f"{count} records", poll, 60, interval=0)
        consumer.commit(asynchronous=False)
        return values
    finally:
        consumer.close()


def login_error(config):
    """The text of the error by which a client is refused."""
    told = []
    admin = admin_api.AdminClient({**config, "error_cb": lambda error: told.append(error)})
    def refused():
        admin.poll(0.1)
        return [error for error in told if error.code() == kafka.KafkaError._AUTHENTICATION]
    return str(until("the client is refused", refused)[0])


def refused_list(config):
    with pytest.raises(kafka.KafkaException):
        admin_api.AdminClient(config).list_topics(timeout=3)


def logs(cluster):
    return "".join(node.log.read_text(errors="replace") for node in cluster)


# --- Logging in

@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_records_go_in_and_out_over_tls_as_a_user(make, files, mechanism):
    cluster = make(options={"client.password": MASTER, **{f"tls.kafka_{name}": files[name] for name in ("cert", "key")}})
    run(cluster, "ACL", "SETUSER", "alice", "on", f">{SECRET}", *ALL_OF_TOPICS)
    create(cluster, "orders", node="n2")
    config = as_user(cluster, mechanism, ca=files["ca"])
    until("all nodes know the topic", lambda: produced(config, "orders", ["first"]) == [None])
    values = [f"v{i}" for i in range(200)]
    assert produced({**config, "enable.idempotence": True}, "orders", values) == [None] * 200
    # A user and what SCRAM needs of it outlive a node's death, and a client finds the other nodes.
    cluster["n1"].kill9()
    assert sorted(set(consumed(config, "orders", 201))) == sorted([*values, "first"])
    cluster["n1"].start()
    alone = {**config, "bootstrap.servers": f"{HOST}:{cluster['n1'].kafka_port}"}
    until("n1 knows the users again", lambda: "orders" in admin_api.AdminClient(alone).list_topics(timeout=10).topics, 60)
    refused_list({**config, "security.protocol": "SASL_PLAINTEXT"})
    refused_list({"bootstrap.servers": servers(cluster), "security.protocol": "SSL", "ssl.ca.location": files["ca"]})
    assert SECRET not in logs(cluster)


def test_who_cannot_log_in_is_told_why_and_noted(cluster):
    hashed = hashlib.sha256(SECRET.encode()).hexdigest()
    run(cluster, "ACL", "SETUSER", "alice", "on", f">{SECRET}", *ALL_OF_TOPICS)
    run(cluster, "ACL", "SETUSER", "hashed", "on", f"#{hashed}", *ALL_OF_TOPICS)
    run(cluster, "ACL", "SETUSER", "off", "off", f">{SECRET}", *ALL_OF_TOPICS)
    at_first = {"bootstrap.servers": f"{HOST}:{cluster['n1'].kafka_port}"}
    for mechanism in MECHANISMS:
        for wrong in ({"password": "wrong-word"}, {"user": "nobody"}, {"user": "off"}):
            assert "wrong user or password" in login_error({**as_user(cluster, mechanism, **wrong), **at_first})
    for mechanism in MECHANISMS[1:]:
        assert "given as a hash" in login_error({**as_user(cluster, mechanism, user="hashed"), **at_first})
    assert admin_api.AdminClient(as_user(cluster, user="hashed")).list_topics(timeout=10)
    # The user of the configuration has no definition of its own.
    for mechanism in MECHANISMS:
        config = as_user(cluster, mechanism, user="default", password=MASTER)
        assert admin_api.AdminClient(config).list_topics(timeout=10)
    noted = run(cluster, "ACL", "LOG", "100")
    noted = [dict(zip(each[::2], each[1::2])) if isinstance(each, list) else each for each in noted]
    seen = {(each["reason"], each["object"], each["username"]) for each in noted}
    for mechanism in MECHANISMS:
        assert {("auth", mechanism, name) for name in ("alice", "nobody", "off")} <= seen
    assert ("auth", "SCRAM-SHA-256", "hashed") in seen
    assert all("protocol=kafka" in each["client-info"] for each in noted if each["object"] in MECHANISMS)
    everything = logs(cluster) + str(noted) + str(run(cluster, "ACL", "LIST")) + str(run(cluster, "ACL", "GETUSER", "alice"))
    assert SECRET not in everything and "wrong-word" not in everything and "$" not in everything


def test_scram_goes_with_passwords_as_they_change(cluster, tmp_path):
    def may(password, user="alice"):
        try:
            config = as_user(cluster, "SCRAM-SHA-512", user=user, password=password)
            return bool(admin_api.AdminClient(config).list_topics(timeout=5))
        except kafka.KafkaException:
            return False
    run(cluster, "ACL", "SETUSER", "alice", "on", ">first", ">second")
    assert may("first") and may("second") and not may("third")
    run(cluster, "ACL", "SETUSER", "alice", "<first", ">third", node="n3")
    assert may("second") and may("third") and not may("first")
    run(cluster, "CONFIG", "SET", "requirepass", MASTER)
    assert may(MASTER, "default")
    # No client may say what SCRAM needs by itself, or what another user has.
    with cluster["n1"].client(password=MASTER) as client, pytest.raises(redis.ResponseError, match="Syntax error"):
        client.execute_command("ACL", "SETUSER", "alice", "$" + "0" * 64 + ":4096:AA==:AA==:AA==:AA==:AA==")


# --- Rights

@pytest.fixture
def limited(cluster):
    """Two topics; alice may do what is said of her, and has `orders` only."""
    run(cluster, "ACL", "SETUSER", "admin", "on", f">{SECRET}", "allkeys", "+@all")
    for topic in ("orders", "secrets"):
        create(cluster, topic)
        admin = as_user(cluster, user="admin")
        until("all nodes know the topic", lambda: produced(admin, topic, ["x"]) == [None])
    return cluster


def test_a_user_has_the_topics_that_its_commands_have(limited):
    run(limited, "ACL", "SETUSER", "alice", "on", f">{SECRET}", "+even.emit|orders", "+even.fetch|orders", "+hset", "+hgetall",
        "~__consumer_groups:mine", "+set", "~__transactions:mine")
    config = as_user(limited)
    refused = kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert set(admin_api.AdminClient(config).list_topics(timeout=10).topics) == {"orders"}
    named = admin_api.AdminClient(config).list_topics("secrets", timeout=10).topics["secrets"]
    none = admin_api.AdminClient(config).list_topics("no-such-topic", timeout=10).topics["no-such-topic"]
    assert named.error.code() == none.error.code() == refused
    assert produced(config, "orders", ["mine"]) == [None]
    assert code_of(produced(config, "secrets", ["mine"])[0]) == refused
    assert produced({**config, "enable.idempotence": True}, "orders", ["mine"]) == [None]
    assert consumed(config, "orders", 3, group="mine")
    # Administration of topics.
    admin = admin_api.AdminClient(config)
    for futures in (admin.create_topics([admin_api.NewTopic("new", 1, 3)]), admin.delete_topics(["orders"]),
                    admin.create_partitions([admin_api.NewPartitions("orders", 5)]),
                    admin.describe_configs([admin_api.ConfigResource("topic", "orders")]),
                    admin.alter_configs([admin_api.ConfigResource("topic", "orders", set_config={"retention.ms": "1"})])):
        with pytest.raises(kafka.KafkaException) as raised:
            next(iter(futures.values())).result(30)
        assert raised.value.args[0].code() == refused
    # Another's group, another's transactional id.
    consumer = kafka.Consumer({**config, "group.id": "another"})
    consumer.subscribe(["orders"])
    error = until("the group is refused", lambda: (message := consumer.poll(0.2)) and message.error())
    assert error.code() == kafka.KafkaError.GROUP_AUTHORIZATION_FAILED
    consumer.close()
    producer = kafka.Producer({**config, "transactional.id": "another"})
    with pytest.raises(kafka.KafkaException) as raised:
        producer.init_transactions(10)
    assert raised.value.args[0].code() == kafka.KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    producer = kafka.Producer({**config, "transactional.id": "mine"})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce("orders", "in a transaction")
    producer.commit_transaction(60)
    # Groups as administrators see them, each at the nodes that coordinate some.
    consumed(as_user(limited, user="admin"), "secrets", 1, group="another")
    listed = admin_api.AdminClient(as_user(limited, user="admin")).list_groups(timeout=30)
    assert {group.id for group in listed} == {"another", "mine"}
    assert {group.id for group in admin_api.AdminClient(config).list_groups(timeout=30)} == {"mine"}
    frames = Frames(limited["n1"])
    frames.log_in("alice", SECRET)
    describe = frames.ask(15, 0, struct.pack(">ih", 1, 7) + b"another")
    assert struct.unpack(">ih", describe[:6]) == (1, kafka.KafkaError.GROUP_AUTHORIZATION_FAILED)
    delete = frames.ask(42, 0, struct.pack(">ih", 1, 4) + b"mine")
    assert struct.unpack(">h", delete[-2:])[0] == kafka.KafkaError.GROUP_AUTHORIZATION_FAILED
    # Who asks although metadata do not have it.
    frames = Frames(leader_of(limited, "secrets"))
    frames.log_in("alice", SECRET)
    assert fetch(frames, "secrets", 0)[0] == refused
    epoch = frames.ask(23, 1, struct.pack(">ih", 1, 7) + b"secrets" + struct.pack(">iii", 1, 0, 0))
    assert struct.unpack(">hiiq", epoch[4 + 9 + 4:]) == (refused, 0, -1, -1)
    produce = struct.pack(">hhi", -1, 1, 1000) + struct.pack(">ih", 1, 7) + b"secrets" + struct.pack(">iii", 1, 0, -1)
    assert struct.unpack(">h", frames.ask(0, 3, produce)[4 + 9 + 4 + 4:][:2])[0] == refused
    noted = [dict(zip(each[::2], each[1::2])) if isinstance(each, list) else each for node in ("n1", "n2", "n3")
             for each in run(limited, "ACL", "LOG", "100", node=node)]
    assert {"del", "even.emit", "even.fetch", "even.topic|create", "even.topic|drop", "even.topic|alter", "even.topic|info"} <= {each["object"] for each in noted if each["username"] == "alice"}


def test_a_right_that_is_taken_away_is_gone_for_connections_that_there_are(limited):
    run(limited, "ACL", "SETUSER", "alice", "on", f">{SECRET}", *ALL_OF_TOPICS)
    told = []
    producer = kafka.Producer(as_user(limited, "SCRAM-SHA-256"))
    def produce(value):
        try:
            producer.produce("orders", value, callback=lambda error, _: told.append(code_of(error)))
        except kafka.KafkaException as error:  # it knows already, from metadata
            return error.args[0].code()
        assert producer.flush(30) == 0
        return told.pop()
    assert produce("before") is None
    # One that waits for records is refused when its right has gone, and gets none of them.
    reader = Frames(leader_of(limited, "orders"))
    reader.log_in("alice", SECRET)
    end = fetch(reader, "orders", 0)[1]
    reader.send_fetch("orders", end, wait_ms=30_000)
    run(limited, "ACL", "SETUSER", "alice", "-even.emit", "-even.fetch", node="n3")
    assert produce("after") == kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert produced(as_user(limited, user="admin"), "orders", ["not for alice"]) == [None]
    assert reader.fetched()[0] == kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED
    run(limited, "ACL", "SETUSER", "alice", "+even.emit")
    until("it may again", lambda: produce("again") is None)
    run(limited, "ACL", "DELUSER", "alice")
    assert reader.closed()
    refused_list(as_user(limited))


# --- Bare frames

class Frames:
    def __init__(self, node):
        self.socket = socket.create_connection((HOST, node.kafka_port), timeout=20)

    def send(self, key, version, body):
        header = struct.pack(">hhi", key, version, 7) + struct.pack(">h", 4) + b"test"
        self.send_bytes(header + body)

    def send_bytes(self, bytes):
        self.socket.sendall(struct.pack(">i", len(bytes)) + bytes)

    def receive(self):
        size = struct.unpack(">i", self.exactly(4))[0]
        return self.exactly(size)

    def exactly(self, count):
        got = b""
        while len(got) < count:
            more = self.socket.recv(count - len(got))
            if not more:
                raise EOFError
            got += more
        return got

    def ask(self, key, version, body):
        self.send(key, version, body)
        answer = self.receive()
        assert struct.unpack(">i", answer[:4])[0] == 7
        return answer[4:]

    def closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def handshake(self, mechanism, version=1):
        """The error, and what there is."""
        answer = self.ask(17, version, struct.pack(">h", len(mechanism)) + mechanism.encode())
        error, count = struct.unpack(">hi", answer[:6])
        names, rest = [], answer[6:]
        for _ in range(count):
            size = struct.unpack(">h", rest[:2])[0]
            names.append(rest[2:2 + size].decode())
            rest = rest[2 + size:]
        assert rest == b""
        return error, names

    def authenticate(self, token, version=1):
        """The error, its text and the token."""
        answer = self.ask(36, version, struct.pack(">i", len(token)) + token)
        error, size = struct.unpack(">hh", answer[:4])
        text, rest = (answer[4:4 + size].decode(), answer[4 + size:]) if size >= 0 else (None, answer[4:])
        size = struct.unpack(">i", rest[:4])[0]
        assert len(rest) == 4 + size + (8 if version >= 1 else 0)
        return error, text, rest[4:4 + size]

    def log_in(self, user, password):
        assert self.handshake("PLAIN")[0] == 0
        assert self.authenticate(f"\0{user}\0{password}".encode()) == (0, None, b"")

    def send_fetch(self, topic, offset, wait_ms=0):
        self.send(1, 4, struct.pack(">iiiib", -1, wait_ms, 1, 1 << 20, 0) + struct.pack(">ih", 1, len(topic)) + topic.encode() +
                  struct.pack(">iiqi", 1, 0, offset, 1 << 20))

    def fetched(self):
        """The error, and the end of the partition."""
        answer = self.receive()
        topic_size = struct.unpack(">h", answer[12:14])[0]
        _, _, error, end = struct.unpack(">iihq", answer[14 + topic_size:32 + topic_size])
        return error, end


def fetch(frames, topic, offset):
    frames.send_fetch(topic, offset)
    return frames.fetched()


def leader_of(cluster, topic):
    def leader():
        with cluster["n1"].client(password=MASTER) as client:
            info = client.execute_command("EVEN.TOPIC", "INFO", topic)
        for here in dict(zip(info[::2], info[1::2]))["here"]:
            here = dict(zip(here[::2], here[1::2]))
            if here["leader"]:
                return cluster[here["leader"]]
        return None
    return until("a leader", leader)


METADATA = (3, 1, struct.pack(">i", -1))


def test_who_has_not_logged_in_may_ask_for_versions_only(cluster):
    node = cluster["n1"]
    assert Frames(node).ask(18, 0, b"")[:2] == b"\0\0"
    for request in (METADATA, (22, 0, struct.pack(">hi", -1, 1000)), (99, 0, b""), (17, 9, b"")):
        frames = Frames(node)
        frames.send(*request)
        assert frames.closed(), request
    # In between, and once it has begun, as well.
    frames = Frames(node)
    assert frames.handshake("PLAIN") == (0, MECHANISMS)
    frames.send(*METADATA)
    assert frames.closed()
    # Nor does it make the node hold much.
    frames = Frames(node)
    frames.socket.sendall(struct.pack(">i", 1 << 20))
    assert frames.closed()


def test_who_may_not_go_on_is_sent_away(make):
    cluster = make(nodes=1)
    node = cluster["n1"]
    anybody = Frames(node)
    assert anybody.ask(*METADATA)
    with node.client() as client:
        client.execute_command("ACL", "SETUSER", "alice", "on", ">" + SECRET, "+@all", "~*")
        alice = Frames(node)
        alice.log_in("alice", SECRET)
        client.execute_command("ACL", "SETUSER", "alice", "off")
        assert alice.closed()
        assert anybody.ask(*METADATA)
        client.execute_command("ACL", "SETUSER", "default", "resetpass", ">" + MASTER)
        assert anybody.closed()


def test_the_password_of_the_configuration_is_good_for_scram_still(make):
    cluster = make(nodes=1, options={"client.password": MASTER})
    node = cluster["n1"]
    run(cluster, "ACL", "SETUSER", "default", "-flushall")
    frames = Frames(node)
    assert frames.handshake("SCRAM-SHA-256")[0] == 0
    scram(frames, "SCRAM-SHA-256", "sha256", "default", MASTER, lambda token: frames.authenticate(token)[2])
    assert frames.ask(*METADATA)


def test_the_steps_of_a_login_are_kept_to(cluster):
    node = cluster["n1"]
    frames = Frames(node)
    assert frames.handshake("GSSAPI") == (33, MECHANISMS)
    error, text, _ = frames.authenticate(b"\0default\0" + MASTER.encode())
    assert error == 34 and "SaslHandshake" in text
    frames.log_in("default", MASTER)
    assert frames.ask(*METADATA)
    assert frames.handshake("PLAIN")[0] == 34, "it is somebody already"
    assert frames.ask(*METADATA)
    for token in (b"", b"\0", b"default", b"\0default\0", b"other\0default\0" + MASTER.encode(), b"\0default\0" + MASTER[:-1].encode(),
                  b"\0default\0" + MASTER.encode() + b"\0"):
        frames = Frames(node)
        assert frames.handshake("PLAIN")[0] == 0
        error, text, answer = frames.authenticate(token, version=0)
        assert error == 58 and text and answer == b"", token
        assert frames.closed()


def scram(frames, mechanism, hash, user, password, send):
    """RFC 5802 written down once more, with another library's primitives."""
    first = f"n={user},r=a-client's-nonce"
    challenge = send(f"n,,{first}".encode()).decode()
    nonce, salt, iterations = (part.split("=", 1)[1] for part in challenge.split(","))
    assert nonce.startswith("a-client's-nonce") and len(nonce) >= 40 and int(iterations) >= 4096
    final = f"c=biws,r={nonce}"
    message = f"{first},{challenge},{final}".encode()
    salted = hashlib.pbkdf2_hmac(hash, password.encode(), base64.b64decode(salt), int(iterations))
    key = hmac.digest(salted, b"Client Key", hash)
    signature = hmac.digest(hashlib.new(hash, key).digest(), message, hash)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
    answer = send(f"{final},p={proof}".encode()).decode()
    assert answer == "v=" + base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", hash), message, hash)).decode()


@pytest.mark.parametrize("mechanism, hash", [("SCRAM-SHA-256", "sha256"), ("SCRAM-SHA-512", "sha512")])
def test_older_clients_send_tokens_without_requests(cluster, mechanism, hash):
    run(cluster, "ACL", "SETUSER", "alice", "on", ">secret", *ALL_OF_TOPICS)
    node = cluster["n1"]
    def bare(frames):
        def send(token):
            frames.send_bytes(token)
            return frames.receive()
        return send
    def asked(frames):
        def send(token):
            error, text, answer = frames.authenticate(token)
            assert error == 0, text
            return answer
        return send
    for version, way in ((0, bare), (1, asked)):
        frames = Frames(node)
        assert frames.handshake(mechanism, version) == (0, MECHANISMS)
        scram(frames, mechanism, hash, "alice", "secret", way(frames))
        assert frames.ask(*METADATA)
    frames = Frames(node)
    assert frames.handshake("PLAIN", 0)[0] == 0
    frames.send_bytes(b"\0alice\0secret")
    assert frames.receive() == b""
    assert frames.ask(*METADATA)
    frames = Frames(node)
    assert frames.handshake("PLAIN", 0)[0] == 0
    frames.send_bytes(b"\0alice\0wrong")
    assert frames.closed()


def test_who_does_not_finish_logging_in_is_sent_away(make, files):
    cluster = make(nodes=1, options={f"tls.kafka_{name}": files[name] for name in ("cert", "key")})
    frames = Frames(cluster["n1"])  # which says nothing of TLS
    assert frames.closed()


# --- Ports

def own_address():
    """One of this machine that other machines could use; None: there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
        return None if address.startswith("127.") else address


def test_other_machines_need_a_password_or_tls(make, files):
    address = own_address()
    if address is None:
        pytest.skip("this machine has a loopback address only")
    cluster = make(nodes=1, options={"kafka.bind": ["0.0.0.0"]})
    node = cluster["n1"]
    def reached():
        with socket.create_connection((address, node.kafka_port), timeout=20) as there:
            there.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
            try:
                return len(there.recv(1)) == 1
            except ConnectionError:
                return False
    assert not reached()
    with node.client() as client:
        until("the password is set", lambda: tried(client, "CONFIG", "SET", "requirepass", MASTER))
    until("it holds", reached)


def test_tls_without_users_and_with_certificates_of_clients(make, files):
    cluster = make(options={f"tls.kafka_{name}": path for name, path in files.items()})
    with cluster["n1"].client() as client:
        until("the topic is there", lambda: tried(client, "EVEN.TOPIC", "CREATE", "orders"))
    config = {"bootstrap.servers": servers(cluster), "security.protocol": "SSL", "ssl.ca.location": files["ca"]}
    known = {**config, "ssl.certificate.location": files["cert"], "ssl.key.location": files["key"]}
    until("all nodes know the topic", lambda: produced(known, "orders", ["x"]) == [None])
    assert consumed(known, "orders", 1)
    refused_list(config)
    refused_list({"bootstrap.servers": servers(cluster)})


def test_even_topic_logs_in_over_tls(make, files, tmp_path):
    cluster = make(options={"client.password": MASTER, **{f"tls.client_{name}": path for name, path in files.items()}})
    nodes = [word for node in cluster for word in ("--node", f"{HOST}:{node.port}")]
    tls = ["--ca", files["ca"], "--cert", files["cert"], "--key", files["key"]]

    def even(*words, text=None):
        return subprocess.run([BIN / "even", "topic", *words, *nodes], input=text, capture_output=True, text=True, timeout=120)
    def created():
        return even("create", "orders", *tls, "--password", MASTER).returncode == 0
    until("the topic is created", created, 60, interval=0.5)
    lines = "".join(f"line {i}\n" for i in range(20_000))
    assert even("produce", "orders", *tls, "--password", MASTER, text=lines).returncode == 0
    consumed = even("consume", "orders", *tls, "--user", "default", "--password", MASTER)
    assert consumed.stdout == lines, consumed.stderr
    assert "NOAUTH" in even("list", *tls).stderr
    assert "WRONGPASS" in even("list", *tls, "--password", "wrong").stderr
    assert even("list", "--password", MASTER).returncode != 0
    # Whose certificate it is matters, and over connections of either kind (`even backup`).
    refused = even("list", *tls, "--password", MASTER, "--tls-name", "other.example")
    assert refused.returncode != 0 and "hostname mismatch" in refused.stderr
    assert even("list", *tls, "--password", MASTER, "--tls-name", "localhost").returncode == 0
    for name, outcome in (("other.example", 1), ("localhost", 0)):
        backup = subprocess.run([BIN / "even", "backup", tmp_path / "backup", "--host", HOST, "--port", str(cluster["n1"].port), *tls,
                                 "--password", MASTER, "--tls-name", name], capture_output=True, text=True, timeout=120)
        assert backup.returncode == outcome and ("hostname mismatch" in backup.stderr) == bool(outcome), backup.stderr
