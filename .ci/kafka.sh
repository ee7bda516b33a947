#!/usr/bin/env bash
# One Apache Kafka broker (KRaft, combined mode) on loopback, for the tests that want a real one.
#
#   .ci/kafka.sh fetch         get the pinned jars from Maven Central into the cache (does nothing when they are there)
#   .ci/kafka.sh start DIR     start a broker whose data lives in DIR; prints KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:PORT
#   .ci/kafka.sh stop DIR      stop it; the data stays, and a later start DIR goes on with it, on the same port
#   .ci/kafka.sh kill DIR      stop it without warning (SIGKILL), for tests of crashes
#
# Needs java 17 or later and mvn. KAFKA_PORT pins the port of the first start of a DIR; otherwise a free one is picked.
set -euo pipefail

kafka_version=4.1.0
log4j_version=2.24.3
cache="${XDG_CACHE_HOME:-$HOME/.cache}/alert-responder/kafka-$kafka_version"
libs="$cache/libs"

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

copy_jars() {
    mvn -q -B -f "$1/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$1/libs" >&2
}

fetch() {
    if [ -f "$cache/complete" ]; then
        return
    fi
    command -v mvn >/dev/null || { echo "kafka.sh: mvn is needed to fetch Apache Kafka (Debian: apt-get install maven)" >&2; exit 1; }
    mkdir -p "$cache"
    local work
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka_version</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$log4j_version</version></dependency>
  </dependencies>
</project>
POM
    # A registry may be out of breath for a moment: once more, then give up.
    copy_jars "$work" || { sleep 5; copy_jars "$work"; }
    rm -rf "$libs"
    mv "$work/libs" "$libs"
    rm -rf "$work"
    touch "$cache/complete"
}

port_is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

pick_port() {
    local port
    for _ in $(seq 50); do
        # Below the range from which the system takes ports for outgoing connections.
        port=$((20000 + RANDOM % 12000))
        if port_is_free "$port"; then
            echo "$port"
            return
        fi
    done
    echo "kafka.sh: found no free port" >&2
    exit 1
}

is_running() {
    [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null
}

prepare() {
    local dir=$1
    mkdir -p "$dir"
    [ -f "$dir/port" ] || echo "${KAFKA_PORT:-$(pick_port)}" >"$dir/port"
    [ -f "$dir/controller-port" ] || pick_port >"$dir/controller-port"
    local port controller_port
    port=$(cat "$dir/port")
    controller_port=$(cat "$dir/controller-port")
    cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=16777216
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
PROPERTIES
    cat >"$dir/log4j2.properties" <<'PROPERTIES'
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
PROPERTIES
}

start() {
    mkdir -p "$1"
    local dir
    dir=$(cd "$1" && pwd)
    fetch
    prepare "$dir"
    local port
    port=$(cat "$dir/port")
    if ! is_running "$dir"; then
        local java=(java -Xms128m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$libs/*"
            "-Dlog4j2.configurationFile=$dir/log4j2.properties" "-Dkafka.logs.dir=$dir")
        if [ ! -d "$dir/data" ]; then
            "${java[@]}" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$dir/server.properties" \
                >"$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; exit 1; }
        fi
        : >"$dir/server.log"
        nohup "${java[@]}" kafka.Kafka "$dir/server.properties" </dev/null >>"$dir/server.log" 2>&1 &
        echo $! >"$dir/pid"
    fi
    for _ in $(seq 300); do
        if grep -q 'Kafka Server started' "$dir/server.log"; then
            echo "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:$port"
            return
        fi
        is_running "$dir" || break
        sleep 0.2
    done
    echo "kafka.sh: the broker did not start; the end of $dir/server.log:" >&2
    tail -n 30 "$dir/server.log" >&2
    exit 1
}

stop() {
    local dir=$1 signal=$2
    if is_running "$dir"; then
        kill "-$signal" "$(cat "$dir/pid")"
        for _ in $(seq 150); do
            is_running "$dir" || break
            sleep 0.2
        done
        # A broker that does not heed its signal in 30 s is ended.
        if is_running "$dir"; then
            kill -KILL "$(cat "$dir/pid")"
        fi
    fi
    rm -f "$dir/pid"
}

case "${1:-} $#" in
    'fetch 1') fetch ;;
    'start 2') start "$2" ;;
    'stop 2') stop "$2" TERM ;;
    'kill 2') stop "$2" KILL ;;
    *) usage ;;
esac
