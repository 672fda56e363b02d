#!/usr/bin/env bash
# Fetches Apache Kafka's libraries from Maven Central into the folder $1 and drives real brokers with the tests of
# room stream: what every transport keeps, a DBTx of a million records, a broker that is killed and comes back, and three
# with TLS, passwords and rights, of which one is killed after another. Needs a Java
# runtime and Maven (Debian: default-jre-headless, maven); where something is missing, or the registry cannot be
# reached, it says so and succeeds: the suite is optional.
set -euo pipefail
VERSION=4.1.0
dir=${1:?usage: kafka.sh FOLDER}

skip() { echo "test-clients: skipped: $1"; exit 0; }

command -v java >/dev/null || skip "no java on the PATH (Debian: apt-get install default-jre-headless)"
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if [ ! -e "$dir/libs/kafka_2.13-$VERSION.jar" ]; then
	command -v mvn >/dev/null || skip "no mvn on the PATH (Debian: apt-get install maven)"
	cat >"$dir/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>matchday</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$VERSION</version></dependency>
  </dependencies>
</project>
POM
	echo "test-clients: fetching Apache Kafka $VERSION"
	rm -rf "$dir/libs" "$dir/fetching"
	timeout 600 mvn -q -B -f "$dir/pom.xml" dependency:copy-dependencies -DoutputDirectory="$dir/fetching" ||
		skip "Apache Kafka could not be fetched from Maven Central (see above)"
	mv "$dir/fetching" "$dir/libs"
fi
# Cases wait for the broker more than for processors, so more of them run at once than there are processors.
MATCHDAY_KAFKA_LIBS="$dir/libs" "${GO:-go}" test -count=1 -v -parallel 8 -timeout 60m \
	-run '^(TestTransports|TestAMillionRecordsInOneBatch|TestARealBroker.*|TestThreeRealBrokers.*)$/Apache' ./stream
