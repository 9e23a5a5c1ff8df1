package dashboard

// panel is one graph or number.
type panel struct {
	title, describes string
	kind             string // of Grafana: "stat" or "timeseries"
	unit             string // Grafana's name for it
	width            int    // of 24
	queries          []query
	stacked          bool
	signed           bool    // values below 0 are shown
	red              float64 // the value from which it is red; 0: none
}

// query is an expression with what its series are called.
type query struct{ expr, legend string }

// row is a heading with the panels below it.
type row struct {
	title  string
	panels []panel
}

// selects are the labels by which the variables of the dashboard choose.
const selects = `group=~"$group",topic=~"$topic"`

// conventions are the same, as OpenTelemetry's conventions name them.
const conventions = `messaging_consumer_group_name=~"$group",messaging_destination_name=~"$topic"`

// rows are the dashboard. What each process of a group reports of the whole group is shown as a
// maximum.
func rows() []row {
	return []row{
		{"Is all well?", overview()},
		{"Throughput", throughput()},
		{"Handlers", handlers()},
		{"Store", store()},
		{"Flow", flow()},
		{"Outbox", outbox()},
		{"Partitions", partitions()},
		{"Deferral", deferral()},
	}
}

func overview() []panel {
	stat := func(title, describes, unit, expr string, red float64) panel {
		return panel{title: title, describes: describes, kind: "stat", unit: unit, width: 4, red: red, queries: []query{{expr, ""}}}
	}
	return []panel{
		stat("Processes", "Live processes of the groups.", "short", `sum(max by (group) (onceish_members{group=~"$group"}))`, 0),
		stat("Lag", "Events that were not handled yet.", "short", `sum(max by (group, topic) (onceish_lag_events{`+selects+`}))`, 0),
		stat("Oldest event", "Age of the oldest event that was not handled yet.", "s", `max(onceish_lag_seconds{`+selects+`})`, 300),
		stat("Dead letters in 1 h", "Events that were given up.", "short", `sum(increase(onceish_dead_letters_total{`+selects+`}[1h]))`, 1),
		stat("Paused", "Subscriptions that are paused.", "short", `sum(max by (group, topic) (onceish_paused{`+selects+`}))`, 1),
		stat("Dead rows", "Rows of outboxes that were given up.", "short", `sum(max by (outbox) (onceish_outbox_dead))`, 1),
	}
}

func throughput() []panel {
	return []panel{
		{
			title: "Deliveries by outcome", describes: "How deliveries ended.", kind: "timeseries", unit: "ops", width: 12, stacked: true,
			queries: []query{{`sum by (outcome) (rate(onceish_deliveries_total{` + selects + `}[$__rate_interval]))`, "{{outcome}}"}},
		},
		{
			title: "Lag in events", describes: "Pending and unsettled events, by group and topic.", kind: "timeseries", unit: "short", width: 6,
			queries: []query{{`max by (group, topic) (onceish_lag_events{` + selects + `})`, "{{group}} {{topic}}"}},
		},
		{
			title: "Lag in time", describes: "Age of the oldest event that was not handled yet.", kind: "timeseries", unit: "s", width: 6,
			queries: []query{{`max by (group, topic) (onceish_lag_seconds{` + selects + `})`, "{{group}} {{topic}}"}},
		},
		{
			title: "Received and sent", describes: "Deliveries from the bus, redeliveries included, and events that were published.", kind: "timeseries", unit: "ops", width: 12,
			queries: []query{
				{`sum(rate(messaging_client_consumed_messages_total{` + conventions + `}[$__rate_interval]))`, "received"},
				{`sum(rate(messaging_client_sent_messages_total[$__rate_interval]))`, "sent"},
			},
		},
		{
			title: "Calls of the bus, 99th percentile", describes: "How long receiving, settling and sending take.", kind: "timeseries", unit: "s", width: 12,
			queries: []query{{`histogram_quantile(0.99, sum by (le, messaging_operation_name) (rate(messaging_client_operation_duration_seconds_bucket[$__rate_interval])))`, "{{messaging_operation_name}}"}},
		},
	}
}

func handlers() []panel {
	return []panel{
		{
			title: "Duration of runs", describes: "How long handlers take.", kind: "timeseries", unit: "s", width: 8,
			queries: []query{
				{`histogram_quantile(0.5, sum by (le) (rate(messaging_process_duration_seconds_bucket{` + conventions + `}[$__rate_interval])))`, "p50"},
				{`histogram_quantile(0.99, sum by (le) (rate(messaging_process_duration_seconds_bucket{` + conventions + `}[$__rate_interval])))`, "p99"},
			},
		},
		{
			title: "Failed runs by error", describes: "Runs that failed, by the class of their error.", kind: "timeseries", unit: "ops", width: 8, stacked: true,
			queries: []query{{`sum by (error_type) (rate(messaging_process_duration_seconds_count{error_type!="",` + conventions + `}[$__rate_interval]))`, "{{error_type}}"}},
		},
		{
			title: "Dead letters by reason", describes: "Events that were given up.", kind: "timeseries", unit: "short", width: 8, stacked: true,
			queries: []query{{`sum by (reason) (increase(onceish_dead_letters_total{` + selects + `}[$__rate_interval]))`, "{{reason}}"}},
		},
		{
			title: "In flight", describes: "Events that were fetched and are not answered, by process.", kind: "timeseries", unit: "short", width: 8,
			queries: []query{{`sum by (instance) (onceish_in_flight{` + selects + `})`, "{{instance}}"}},
		},
		{
			title: "Attempts until the end", describes: "Mean attempt with which events succeeded or were given up. 1: nothing is retried.", kind: "timeseries", unit: "short", width: 8,
			queries: []query{{`sum by (group, topic) (rate(onceish_attempts_sum{` + selects + `}[$__rate_interval])) / sum by (group, topic) (rate(onceish_attempts_count{` + selects + `}[$__rate_interval]))`, "{{group}} {{topic}}"}},
		},
		{
			title: "Events in a batch", describes: "Mean size of the batches that handlers take, by what ended their collecting.", kind: "timeseries", unit: "short", width: 8,
			queries: []query{{`sum by (end) (rate(onceish_batch_size_sum{` + selects + `}[$__rate_interval])) / sum by (end) (rate(onceish_batch_size_count{` + selects + `}[$__rate_interval]))`, "{{end}}"}},
		},
	}
}

func store() []panel {
	return []panel{
		{
			title: "Calls of the store, 99th percentile", describes: "How long the dedupe store takes.", kind: "timeseries", unit: "s", width: 8,
			queries: []query{{`histogram_quantile(0.99, sum by (le, operation) (rate(onceish_store_call_duration_seconds_bucket{` + selects + `}[$__rate_interval])))`, "{{operation}}"}},
		},
		{
			title: "Failed calls of the store", describes: "Calls that the store did not answer, by the class of their error.", kind: "timeseries", unit: "ops", width: 8, stacked: true,
			queries: []query{{`sum by (operation, error_type) (rate(onceish_store_call_duration_seconds_count{error_type!="",` + selects + `}[$__rate_interval]))`, "{{operation}} {{error_type}}"}},
		},
		{
			title: "Events for each call", describes: "How many events a call of the store was about: more under load.", kind: "timeseries", unit: "short", width: 8,
			queries: []query{{`sum by (operation) (rate(onceish_store_call_items_sum{` + selects + `}[$__rate_interval])) / sum by (operation) (rate(onceish_store_call_items_count{` + selects + `}[$__rate_interval]))`, "{{operation}}"}},
		},
		{
			title: "Marks waiting", describes: "Handled events whose mark is not stored: a crash repeats their effects.", kind: "timeseries", unit: "short", width: 8,
			queries: []query{{`sum by (group, topic) (onceish_marks_waiting{` + selects + `})`, "{{group}} {{topic}}"}},
		},
		{
			title: "Claims lost", describes: "Claims that another process has taken over.", kind: "timeseries", unit: "ops", width: 8,
			queries: []query{{`sum by (group, topic) (rate(onceish_fenced_total{` + selects + `}[$__rate_interval]))`, "{{group}} {{topic}}"}},
		},
		{
			title: "TTL margin", describes: "How much longer marks are kept than an event may be redelivered.", kind: "timeseries", unit: "s", width: 8, signed: true,
			queries: []query{{`min by (group, topic) (onceish_ttl_margin_seconds{` + selects + `})`, "{{group}} {{topic}}"}},
		},
	}
}

func flow() []panel {
	return []panel{
		{
			title: "Paused", describes: "1 while handlers are not started because somebody has paused them.", kind: "timeseries", unit: "short", width: 8,
			queries: []query{{`max by (group, topic) (onceish_paused{` + selects + `})`, "{{group}} {{topic}}"}},
		},
		{
			title: "Open breakers", describes: "How many processes have an open breaker.", kind: "timeseries", unit: "short", width: 8,
			queries: []query{{`sum by (group, topic) (onceish_breaker_state{state="open",` + selects + `})`, "{{group}} {{topic}}"}},
		},
		{
			title: "Wait for limits, 99th percentile", describes: "How long events waited for rate limits and gates.", kind: "timeseries", unit: "s", width: 8,
			queries: []query{{`histogram_quantile(0.99, sum by (le, group, topic) (rate(onceish_limiter_wait_seconds_bucket{` + selects + `}[$__rate_interval])))`, "{{group}} {{topic}}"}},
		},
	}
}

func outbox() []panel {
	return []panel{
		{
			title: "Rows that wait", describes: "Rows that are to be published.", kind: "timeseries", unit: "short", width: 8,
			queries: []query{{`max by (outbox) (onceish_outbox_depth)`, "{{outbox}}"}},
		},
		{
			title: "Oldest row that waits", describes: "Its age.", kind: "timeseries", unit: "s", width: 8,
			queries: []query{{`max by (outbox) (onceish_outbox_oldest_seconds)`, "{{outbox}}"}},
		},
		{
			title: "Dead rows", describes: "Rows that were given up.", kind: "timeseries", unit: "short", width: 4,
			queries: []query{{`max by (outbox) (onceish_outbox_dead)`, "{{outbox}}"}},
		},
		{
			title: "Rows that are due later", describes: "They are no backlog.", kind: "timeseries", unit: "short", width: 4,
			queries: []query{{`max by (outbox) (onceish_outbox_scheduled)`, "{{outbox}}"}},
		},
	}
}

func deferral() []panel {
	return []panel{
		{
			title: "Deferral", describes: "Events by what deferral has made of them.", kind: "timeseries", unit: "ops", width: 12, stacked: true,
			queries: []query{{`sum by (outcome) (rate(onceish_deferral_total{` + selects + `}[$__rate_interval]))`, "{{outcome}}"}},
		},
		{
			title: "Events in a summary", describes: "Mean number of events that a summary has.", kind: "timeseries", unit: "short", width: 12,
			queries: []query{{`sum by (group, topic) (rate(onceish_deferral_summary_events_sum{` + selects + `}[$__rate_interval])) / sum by (group, topic) (rate(onceish_deferral_summary_events_count{` + selects + `}[$__rate_interval]))`, "{{group}} {{topic}}"}},
		},
	}
}

func partitions() []panel {
	return []panel{
		{
			title: "Partitions and their owners", describes: "How many partitions there are, and how many have an owner.", kind: "timeseries", unit: "short", width: 12,
			queries: []query{
				{`max by (group, topic) (onceish_partitions{` + selects + `})`, "{{group}} {{topic}}: all"},
				{`sum by (group, topic) (onceish_partitions_owned{` + selects + `})`, "{{group}} {{topic}}: owned"},
			},
		},
		{
			title: "Moves", describes: "Partitions that processes have taken, handed over or lost.", kind: "timeseries", unit: "short", width: 12, stacked: true,
			queries: []query{{`sum by (move) (increase(onceish_partitions_moves_total{` + selects + `}[$__rate_interval]))`, "{{move}}"}},
		},
	}
}
