package admin

import "github.com/nats-io/nats.go"

// structured is a CloudEvent in structured mode: its attributes are in its data.
func structured(subject, envelope string) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: []byte(envelope), Header: nats.Header{"Content-Type": {"application/cloudevents+json"}}}
}
