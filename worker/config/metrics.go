package config

// DefaultMetricsAddress is where metrics are served if nothing else is said.
const DefaultMetricsAddress = "127.0.0.1:9464"

// Metrics are served for Prometheus.
type Metrics struct {
	// Address is a host and a port. Without a host it is all addresses of the machine.
	Address string
}

func metricsKeys() []field[Metrics] {
	return []field[Metrics]{
		textField("address", "a host and a port such as "+DefaultMetricsAddress, func(m *Metrics) *string { return &m.Address }, validListenAddress(DefaultMetricsAddress)).
			withDefault(DefaultMetricsAddress).withDefaultText(DefaultMetricsAddress+"; no metrics where nothing is said of them").
			withFlag("metrics", "ADDRESS").describedAs("where metrics are served for Prometheus, under /metrics; without a host, as in :9464, at all addresses of the machine"),
	}
}
