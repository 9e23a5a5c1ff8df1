package telemetry

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
)

// Scope is the name of the meter and of the tracer.
const Scope = "github.com/onceish/onceish/worker/telemetry"

// The attributes of OpenTelemetry's conventions for messaging. Those for NATS are not registered.
const (
	keySystem        = attribute.Key("messaging.system")
	keyOperation     = attribute.Key("messaging.operation.name")
	keyOperationType = attribute.Key("messaging.operation.type")
	keyDestination   = attribute.Key("messaging.destination.name")
	keyConsumerGroup = attribute.Key("messaging.consumer.group.name")
	keyErrorType     = attribute.Key("error.type")

	system = "nats"
)

// The names of operations, which are also their types.
const (
	operationSend    = "send"
	operationReceive = "receive"
	operationProcess = "process"
	operationSettle  = "settle"
)

// The attributes of our own metrics.
const (
	keyTopic     = attribute.Key("topic")
	keyGroup     = attribute.Key("group")
	keyOutcome   = attribute.Key("outcome")
	keyReason    = attribute.Key("reason")
	keyEnd       = attribute.Key("end")
	keyCall      = attribute.Key("operation")
	keyCallError = attribute.Key("error_type")
	keyState     = attribute.Key("state")
	keyMove      = attribute.Key("move")
	keyOutbox    = attribute.Key("outbox")
	keyVersion   = attribute.Key("version")
	keyGoVersion = attribute.Key("go_version")
)

// The names of metrics.
const (
	nameProcessDuration   = "messaging.process.duration"
	nameConsumed          = "messaging.client.consumed.messages"
	nameSent              = "messaging.client.sent.messages"
	nameOperationDuration = "messaging.client.operation.duration"

	nameDeliveries   = "onceish.deliveries"
	nameInFlight     = "onceish.in_flight"
	nameLagEvents    = "onceish.lag.events"
	nameLag          = "onceish.lag"
	nameStoreCalls   = "onceish.store.call.duration"
	nameStoreItems   = "onceish.store.call.items"
	nameMarksWaiting = "onceish.marks.waiting"
	nameFenced       = "onceish.fenced"
	nameDeadLetters  = "onceish.dead_letters"
	nameAttempts     = "onceish.attempts"
	nameTTLMargin    = "onceish.ttl.margin"
	nameOutboxDepth  = "onceish.outbox.depth"
	nameOutboxOldest = "onceish.outbox.oldest"
	nameOutboxDead   = "onceish.outbox.dead"
	nameOutboxDue    = "onceish.outbox.scheduled"
	namePaused       = "onceish.paused"
	nameBreaker      = "onceish.breaker.state"
	nameLimiterWait  = "onceish.limiter.wait"
	nameBatchSize    = "onceish.batch.size"
	nameMembers      = "onceish.members"
	namePartitions   = "onceish.partitions"
	nameOwned        = "onceish.partitions.owned"
	nameMoves        = "onceish.partitions.moves"
	nameWatermarkAge = "onceish.watermark.age"
	nameBuildInfo    = "onceish.build.info"
	nameDeferral     = "onceish.deferral"
	nameSummaries    = "onceish.deferral.summary.events"
)

// Kind is what a metric is made of.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Metric describes a metric.
type Metric struct {
	// Name in OpenTelemetry, and Prometheus, its name there: that of a histogram without _bucket,
	// _sum and _count.
	Name, Prometheus string
	Kind             Kind
	// Unit is "s", or what is counted, in braces. Empty: the value is a mark, such as 1.
	Unit string
	// Labels as Prometheus names them.
	Labels []string
	// Meaning is what it measures, as its help says, and Worry when to do something about it.
	Meaning, Worry string
}

// The labels that several metrics have.
var (
	operationLabels = []string{"messaging_system", "messaging_operation_name", "messaging_operation_type", "messaging_destination_name"}
	consumeLabels   = append(slices.Clone(operationLabels), "messaging_consumer_group_name")
	sendLabels      = append(slices.Clone(operationLabels), "error_type")
	messagingLabels = append(slices.Clone(consumeLabels), "error_type")
	topicLabels     = []string{"topic", "group"}
)

func topicLabelsAnd(more ...string) []string { return append(slices.Clone(topicLabels), more...) }

// catalogue has all metrics, in the order of the documentation.
var catalogue = []Metric{
	{
		nameProcessDuration, "messaging_process_duration_seconds", Histogram, "s", messagingLabels,
		"How long runs of the handler took.",
		"its slow end nears run_limit, or it jumps after a release",
	},
	{
		nameConsumed, "messaging_client_consumed_messages_total", Counter, "{message}", consumeLabels,
		"Deliveries that came from the bus, redeliveries included.",
		"it stands still while there is lag",
	},
	{
		nameSent, "messaging_client_sent_messages_total", Counter, "{message}", sendLabels,
		"Events that were published, dead letters and those of an outbox included.",
		"those with an error_type grow",
	},
	{
		nameOperationDuration, "messaging_client_operation_duration_seconds", Histogram, "s", messagingLabels,
		"How long calls of the bus took: receive (until events came), settle (until the answer was handed to the connection) and send (until the server had confirmed).",
		"send takes more than a second",
	},
	{
		nameDeliveries, "onceish_deliveries_total", Counter, "{delivery}", topicLabelsAnd("outcome"),
		"How deliveries ended.",
		"failed or held grow faster than handled",
	},
	{
		nameInFlight, "onceish_in_flight", Gauge, "{event}", topicLabels,
		"Events that were fetched and are not answered yet.",
		"it stays at the bound of the bus while nothing is handled",
	},
	{
		nameLagEvents, "onceish_lag_events", Gauge, "{event}", topicLabels,
		"Events that the group has not handled: pending and unsettled. All processes of a group report the same: take the maximum, not the sum.",
		"it grows for longer than a burst lasts",
	},
	{
		nameLag, "onceish_lag_seconds", Gauge, "s", topicLabels,
		"Age of the oldest event that the group has not handled. 0: there is none.",
		"it is older than the delay that you promise",
	},
	{
		nameStoreCalls, "onceish_store_call_duration_seconds", Histogram, "s", topicLabelsAnd("operation", "error_type"),
		"How long calls of the dedupe store took.",
		"calls have an error_type, or take a quarter of the lease",
	},
	{
		nameStoreItems, "onceish_store_call_items", Histogram, "{item}", topicLabelsAnd("operation"),
		"How many events a call of the dedupe store was about.",
		"",
	},
	{
		nameMarksWaiting, "onceish_marks_waiting", Gauge, "{event}", topicLabels,
		"Events whose handler has succeeded, and whose mark is not stored yet: a crash repeats their effects.",
		"it stays at max_unmarked: the store does not answer",
	},
	{
		nameFenced, "onceish_fenced_total", Counter, "{event}", topicLabels,
		"Claims that were lost: to another process, or because their lease could not be renewed in time.",
		"it grows: the lease is too short, or a process stands still for longer",
	},
	{
		nameDeadLetters, "onceish_dead_letters_total", Counter, "{event}", topicLabelsAnd("reason"),
		"Events that were dead-lettered, by the class of the reason.",
		"it grows",
	},
	{
		nameAttempts, "onceish_attempts", Histogram, "{attempt}", topicLabelsAnd("outcome"),
		"The attempt with which an event succeeded (handled) or was dead-lettered (dead).",
		"most events take more than one",
	},
	{
		nameTTLMargin, "onceish_ttl_margin_seconds", Gauge, "s", topicLabels,
		"How much longer marks are kept than an event may be redelivered after its mark.",
		"it is negative: redelivered events may run again",
	},
	{
		nameOutboxDepth, "onceish_outbox_depth", Gauge, "{row}",
		[]string{"outbox"},
		"Rows of an outbox that wait to be published; 10,000 at most are counted.",
		"it grows",
	},
	{
		nameOutboxOldest, "onceish_outbox_oldest_seconds", Gauge, "s",
		[]string{"outbox"},
		"Age of the oldest row that waits to be published, since it became due if it was scheduled. 0: there is none.",
		"it is more than a minute",
	},
	{
		nameOutboxDead, "onceish_outbox_dead", Gauge, "{row}",
		[]string{"outbox"},
		"Rows of an outbox that were given up; 10,000 at most are counted.",
		"it is not 0",
	},
	{
		nameOutboxDue, "onceish_outbox_scheduled", Gauge, "{row}",
		[]string{"outbox"},
		"Rows of an outbox that are due later, which are no backlog; 10,000 at most are counted.",
		"",
	},
	{
		namePaused, "onceish_paused", Gauge, "", topicLabels,
		"1 while this process starts no handlers because somebody has paused the topic or the group, or the server delivers nothing to its consumer because of nats consumer pause, else 0.",
		"it is 1 for longer than half the TTL of marks",
	},
	{
		nameBreaker, "onceish_breaker_state", Gauge, "", topicLabelsAnd("state"),
		"1 for the state that the breaker is in (closed, half_open or open), 0 for the others. Absent where there is no breaker.",
		"it is open for minutes",
	},
	{
		nameLimiterWait, "onceish_limiter_wait_seconds", Histogram, "s", topicLabels,
		"How long events waited for gates and rate limits before their handler was started or they were given back.",
		"it nears the lease: events are given back and fetched again",
	},
	{
		nameBatchSize, "onceish_batch_size", Histogram, "{event}", topicLabelsAnd("end"),
		"Events in each call of a batch handler, by what ended its collecting (size, wait, bytes, paused, draining or slots; alone: an event that a batch failed with runs by itself).",
		"most batches are small and end by wait: raise the wait or the concurrency; or many run alone: some event fails its batches",
	},
	{
		nameDeferral, "onceish_deferral_total", Counter, "{event}", topicLabelsAnd("outcome"),
		"Events of a subscription with defer: run at once (immediate), kept for a summary (deferred), decided before (ignored), in a summary that is done (processed) or failed (retry), dead-lettered (process_failed); and changes of the configuration (config_updated) and calls that did not answer (error).",
		"process_failed or error grow, or deferred grows faster than processed for longer than interval",
	},
	{
		nameSummaries, "onceish_deferral_summary_events", Histogram, "{event}", topicLabels,
		"How many deferred events a summary had.",
		"",
	},
	{
		nameMembers, "onceish_members", Gauge, "{process}",
		[]string{"group"},
		"Live processes of the group, when they were last counted.",
		"it is not what you have deployed",
	},
	{
		namePartitions, "onceish_partitions", Gauge, "{partition}", topicLabels,
		"Partitions of the topic; 1 where its order is exclusive. Absent where the order is one within a process, as the next two are.",
		"",
	},
	{
		nameOwned, "onceish_partitions_owned", Gauge, "{partition}", topicLabels,
		"Partitions that this process owns.",
		"its sum over the processes stays below onceish_partitions: nobody reads the others",
	},
	{
		nameMoves, "onceish_partitions_moves_total", Counter, "{partition}", topicLabelsAnd("move"),
		"Partitions that this process has taken (assigned), handed over in order (revoked), or could not keep (lost).",
		"lost grows: the process stands still, or does not reach the group's store; or all of it grows while nothing is deployed",
	},
	{
		nameWatermarkAge, "onceish_watermark_age_seconds", Gauge, "s", topicLabels,
		"How long ago the watermark was stored last. Absent before this process has stored one.",
		"it nears the TTL of marks while there is lag: what lies behind the watermark is recognised by marks alone",
	},
	{
		nameBuildInfo, "onceish_build_info", Gauge, "",
		[]string{"version", "go_version"},
		"1, with the version of the program.",
		"",
	},
}

// Catalogue returns a description of each metric there is.
func Catalogue() []Metric { return slices.Clone(catalogue) }
