# SPDX-License-Identifier: Apache-2.0
"""A start that cannot work says why in one line and exits 1; one that has to wait, waits."""
import contextlib
import json
import subprocess

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from conftest import BUILD, Tokend, free_port, until

WEEK_MS = str(7 * 24 * 3600 * 1000)
RIGHT = {
    "requests": {"cleanup.policy": "delete", "retention.ms": WEEK_MS},
    "replies": {"cleanup.policy": "delete", "retention.ms": WEEK_MS},
    "journal": {"cleanup.policy": "compact,delete", "retention.ms": WEEK_MS, "message.timestamp.type": "LogAppendTime"},
    "deadletters": {"cleanup.policy": "delete", "retention.ms": WEEK_MS},
}


def make_topics(kafka, prefix, **changed):
    """The four topics as they should be, but for what is changed: topic={setting: value}."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    topics = [
        NewTopic(f"{prefix}.{t}", 1 if t == "deadletters" else 2, 1, config={**RIGHT[t], **changed.get(t, {})})
        for t in RIGHT
    ]
    for done in admin.create_topics(topics).values():
        done.result(30)
    # A broker tells of new topics a moment later.
    until("the topics are known", lambda: {t.topic for t in topics} <= set(admin.list_topics(timeout=10).topics))


class Started:
    def __init__(self, world, prefix, instance="start", **more):
        config = {**world.config, "instance": instance, "ops": {"port": 0}, **more}
        config["topics"] = {**{t: f"{prefix}.{t}" for t in RIGHT}, "partitions": 2}
        self.path = world.conf / f"tokend-{instance}.yaml"
        self.path.write_text(json.dumps(config))

    def run(self, within_s=60):
        done = subprocess.run([BUILD / "tokend", "--config", self.path], capture_output=True, text=True,
                              timeout=within_s)
        return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.real
@pytest.mark.parametrize(
    "topic, setting, value, should",
    [
        ("requests", "cleanup.policy", "compact", "must be delete"),
        ("replies", "cleanup.policy", "compact,delete", "must be delete"),
        ("journal", "cleanup.policy", "delete", "must be compact,delete"),
        ("journal", "retention.ms", "604799999", "must be at least 604800000"),
        ("journal", "retention.bytes", "1000000000", "must be -1"),
        ("journal", "max.message.bytes", "65536", "must be at least 1000000"),
        ("replies", "max.message.bytes", "65536", "must be at least 1000000"),
        ("deadletters", "max.message.bytes", "65536", "must be at least 1000000"),
        ("deadletters", "cleanup.policy", "compact", "must be delete"),
        ("journal", "message.timestamp.type", "CreateTime", "must be LogAppendTime"),
    ],
)
def test_a_topic_that_would_break_the_promise(common, real_kafka, topic, setting, value, should):
    prefix = f"{common.service_id}-{setting}-{topic}-{value}".replace(",", "")
    make_topics(real_kafka, prefix, **{topic: {setting: value}})
    status, lines = Started(common, prefix).run()
    said = lines[-1]["error"]
    assert status == 1
    assert f"{prefix}.{topic}" in said and f"{setting} is {value}, {should}" in said
    assert "tokenctl topics create" in said
    assert len([line for line in lines if line["level"] == "error"]) == 1


@pytest.mark.real
def test_what_only_should_be_otherwise_is_a_warning(common, real_kafka):
    prefix = f"{common.service_id}-should"
    make_topics(real_kafka, prefix, requests={"retention.ms": "3600000"},
                journal={"unclean.leader.election.enable": "true"})
    started = Started(common, prefix)
    t = Tokend(started.path, common.directory / "should.log", None)
    with contextlib.closing(t):
        t.wait_open(2)
        warned = {(w.get("topic"), w.get("setting")) for w in t.lines()
                  if w["logger"] == "topics" and w["level"] == "warn"}
        assert (f"{prefix}.requests", "retention.ms") in warned
        assert (f"{prefix}.journal", "unclean.leader.election.enable") in warned
        assert (f"{prefix}.journal", "min.insync.replicas") in warned
        assert (f"{prefix}.journal", None) in warned        # one copy
        assert (f"{prefix}.requests", "unclean.leader.election.enable") not in warned


@pytest.mark.real
def test_strict_checks_write_nothing_that_is_read(common, real_kafka):
    prefix = f"{common.service_id}-trial"
    make_topics(real_kafka, prefix)
    t = Tokend(Started(common, prefix).path, common.directory / "trial.log", None)
    with contextlib.closing(t):
        t.wait_open(2)
    from confluent_kafka import Consumer, TopicPartition

    reader = Consumer({"bootstrap.servers": real_kafka.bootstrap, "group.id": prefix, "enable.partition.eof": True,
                       "isolation.level": "read_committed", "auto.offset.reset": "earliest"})
    reader.assign([TopicPartition(f"{prefix}.deadletters", 0, 0)])
    m = reader.poll(10)
    low, high = reader.get_watermark_offsets(TopicPartition(f"{prefix}.deadletters", 0), timeout=10)
    reader.close()
    assert high == 2, "the trial and its abort marker: has it been written at all?"
    assert m is not None and m.error() and m.error().name() == "_PARTITION_EOF", "somebody would read the trial"


@pytest.mark.real
def test_topics_that_are_not_there_or_have_another_number_of_partitions(common, real_kafka):
    status, lines = Started(common, f"{common.service_id}-nowhere").run()
    assert status == 1 and "tokenctl topics create" in lines[-1]["error"] and "-nowhere.requests" in lines[-1]["error"]
    prefix = f"{common.service_id}-three"
    make_topics(real_kafka, prefix)
    started = Started(common, prefix)
    config = json.loads(started.path.read_text())
    config["topics"]["partitions"] = 3
    started.path.write_text(json.dumps(config))
    status, lines = started.run()
    assert status == 1 and "has 2 partitions, the configuration says topics.partitions: 3" in lines[-1]["error"]


def test_a_broker_that_is_not_there_yet_is_waited_for(common):
    """It says so, is alive and not ready, and a SIGTERM ends it in good order."""
    port = free_port()
    config = {**common.config, "kafka": [f"bootstrap.servers=127.0.0.1:{free_port()}"],
              "ops": {"address": "127.0.0.1", "port": port}, "instance": "early"}
    path = common.conf / "tokend-early.yaml"
    path.write_text(json.dumps(config))
    t = Tokend(path, common.directory / "early.log", port)
    with contextlib.closing(t):
        t.wait_said("waiting for Kafka")
        assert t.http("/livez")[0] == 200
        assert t.http("/readyz")[0] == 503
        assert t.terminate() == 0


@pytest.mark.parametrize("key, said", [("signing_key", "signing.key"), ("management_token_file", "management-token"),
                                       ("policy_file", "policy.yaml")])
def test_a_file_that_is_not_there(common, key, said):
    config = json.loads(json.dumps(common.config))
    gone = f"/nonexistent/{said}"
    if key == "signing_key":
        config[key]["file"] = gone
    elif key == "management_token_file":
        config["clusters"][0][key] = gone
    else:
        config[key] = gone
    path = common.conf / "tokend-gone.yaml"
    path.write_text(json.dumps({**config, "instance": "gone"}))
    done = subprocess.run([BUILD / "tokend", "--config", path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(lines) == 1 and gone in lines[0]["error"] and "No such file" in lines[0]["error"]


@pytest.mark.real
def test_topics_create_makes_what_the_service_takes_and_changes_nothing(common, real_kafka):
    started = Started(common, prefix := f"{common.service_id}-made", "made")
    create = ["topics", "create", "--tokend-config", started.path, "--replication-factor", "1", "--min-insync", "1"]
    made = common.tokenctl(*create)
    assert made.returncode == 0 and made.stdout.count(": created") == 4, made.stderr
    again = common.tokenctl(*create)
    assert again.returncode == 0 and again.stdout.count("exists, as it should be") == 4, again.stdout
    t = Tokend(started.path, common.directory / "made.log", None)
    with contextlib.closing(t):
        t.wait_open(2)
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap})
    resource = ConfigResource(ConfigResource.Type.TOPIC, f"{prefix}.journal", set_config={"retention.ms": "1000"})
    for done in admin.alter_configs([resource]).values():
        done.result(30)
    differs = common.tokenctl(*create)
    assert differs.returncode == 1
    assert f"{prefix}.journal: retention.ms is 1000, should be 604800000" in differs.stdout
    assert f"{prefix}.journal: cleanup.policy is delete, should be compact,delete" in differs.stdout
    assert differs.stdout.count("exists, as it should be") == 3
    status, lines = started.run()
    assert status == 1 and f"{prefix}.journal" in lines[-1]["error"]


@pytest.mark.parametrize("entry, said", [("bogus.prop=1", "bogus.prop"), ("log_level=loud", "log_level")])
def test_a_property_that_librdkafka_does_not_take(common, entry, said):
    """No broker is asked: --check-config says so already."""
    path = common.conf / "tokend-bogus.yaml"
    path.write_text(json.dumps({**common.config, "instance": "bogus", "kafka": [*common.config["kafka"], entry]}))
    for arguments in (["--check-config"], []):
        command = [BUILD / "tokend", "--config", path, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and said in done.stderr
