package natstest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// Backup copies a stream as `nats stream backup` does, without its consumers, and returns what
// deletes the stream and does what `nats stream restore` does.
func Backup(t testing.TB, nc *nats.Conn, stream string) (restore func(t testing.TB)) {
	t.Helper()
	sub, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	var copied struct {
		Config, State json.RawMessage
	}
	ask(t, nc, "$JS.API.STREAM.SNAPSHOT."+stream, map[string]any{"deliver_subject": sub.Subject, "no_consumers": true}, &copied)
	var chunks [][]byte
	for {
		m, err := sub.NextMsg(answerIn)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				t.Fatalf("copying %s: %s %s", stream, status, m.Header.Get("Description"))
			}
			break
		}
		chunks = append(chunks, m.Data)
		_ = m.Respond(nil)
	}
	return func(t testing.TB) {
		t.Helper()
		DeleteStream(t, nc, stream)
		var to struct {
			Subject string `json:"deliver_subject"`
		}
		ask(t, nc, "$JS.API.STREAM.RESTORE."+stream, map[string]any{"config": copied.Config, "state": copied.State}, &to)
		for _, chunk := range append(chunks, nil) {
			m, err := nc.Request(to.Subject, chunk, answerIn)
			if err != nil {
				t.Fatal(err)
			}
			succeeded(t, "restoring "+stream, m.Data)
		}
	}
}

// DeleteStream deletes a stream, and leaves another one. After it deleted an account's last one,
// nats-server removes the account's folder in the background, also under a stream that is being
// made or restored ("could not create storage directory").
func DeleteStream(t testing.TB, nc *nats.Conn, stream string) {
	t.Helper()
	var answer struct{}
	ask(t, nc, "$JS.API.STREAM.CREATE.left", map[string]any{"name": "left", "subjects": []string{"left"}}, &answer)
	ask(t, nc, "$JS.API.STREAM.DELETE."+stream, nil, &answer)
}

// answerIn is how long the server may take, on a loaded machine.
const answerIn = 30 * time.Second

// ask makes a request to the API of JetStream; one that is nil is empty.
func ask(t testing.TB, nc *nats.Conn, subject string, request, answer any) {
	t.Helper()
	var data []byte
	if request != nil {
		var err error
		if data, err = json.Marshal(request); err != nil {
			t.Fatal(err)
		}
	}
	m, err := nc.Request(subject, data, answerIn)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	succeeded(t, subject, m.Data)
	if err := json.Unmarshal(m.Data, answer); err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
}

// succeeded ends the test if an answer of JetStream's API, empty while a restore goes
// on, is an error.
func succeeded(t testing.TB, what string, answer []byte) {
	t.Helper()
	var failed struct {
		Error json.RawMessage `json:"error"`
	}
	if len(answer) == 0 {
		return
	}
	if err := json.Unmarshal(answer, &failed); err != nil || failed.Error != nil {
		t.Fatalf("%s: %v %s", what, err, failed.Error)
	}
}
