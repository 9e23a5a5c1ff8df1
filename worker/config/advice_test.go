package config_test

import (
	"slices"
	"strings"
	"testing"
)

// advice is a file with one mistake, and what is said of it without the file's name.
type advice struct{ file, want string }

// variables are values that are not set, or that only a shell replaces.
func variables() []advice {
	auth := func(value string) string {
		http := "\n      http:\n        url: https://h\n        headers: "
		return handled(http + "{Authorization: '" + value + "'}")
	}
	header := "subscriptions[0].handler.http.headers.Authorization: "
	return []advice{
		{
			auth("Bearer ${TOKEN}"),
			"7:34: " + header + "the environment has no TOKEN: set it, " +
				"or give a default as in ${TOKEN:default}, or write $${TOKEN} for the text itself",
		},
		{
			handled("{exec: './charge ${TOKEN}'}"),
			"4:21: subscriptions[0].handler.exec.command: the worker's environment has no TOKEN; " +
				"in a command line, which gets it for each event, write $TOKEN or $${TOKEN}",
		},
		{
			smallest + "mongo: {uri: $MONGODB_URI}\n",
			"5:14: mongo.uri: it does not begin with mongodb:// or mongodb+srv://" +
				holds("MONGODB_URI"),
		},
		{
			smallest + "nats: {url: $NATS_URL}\n",
			"5:13: nats.url: it is no URL: write one such as nats://localhost:4222, " +
				"and percent-encode what is special in a password" + holds("NATS_URL"),
		},
		{
			with("attempts: $N"),
			`5:15: subscriptions[0].attempts: "$N" is text, ` +
				"but it must be a whole number from 1 to 1000000" + holds("N"),
		},
		{auth("$FOO"), "7:34: warning: " + header + "it is taken as it is" + holds("FOO")},
		{
			strings.Replace(smallest, "billing", "$GROUP", 1),
			"1:8: warning: group: it is taken as it is" + holds("GROUP"),
		},
	}
}

// holds is what to write for a variable.
func holds(name string) string { return ": write ${" + name + "} for what the variable holds" }

// mappings are values where a mapping is wanted.
func mappings() []advice {
	const wanted, such = "but a mapping is wanted: ", "put keys below it, such as "
	const orDefaults = ", or write {} for the defaults"
	return []advice{
		{
			with("backoff: 5s"),
			"5:14: subscriptions[0].backoff: it is text, " + wanted + such + "{base: 1s, max: 5m}",
		},
		{
			handled("webhook"),
			"4:14: subscriptions[0].handler: it is text, " + wanted +
				"put one of exec, http, publish, project or log below it",
		},
		{
			handled("{log: true}"),
			"4:20: subscriptions[0].handler.log: it is true or false, " + wanted +
				such + "{level: info, data: false}" + orDefaults,
		},
		{
			smallest + "mongo: {uri: mongodb://h}\noutbox: true\n",
			"6:9: outbox: it is true or false, " + wanted +
				such + "{collection: outbox, attempts: 10}" + orDefaults,
		},
		{
			handled("{http: [a]}"),
			"4:21: subscriptions[0].handler.http: it is a list, " + wanted +
				such + "{url: …}, or write the url alone",
		},
		{
			handled("{exec: [./charge, --fast]}"),
			"4:21: subscriptions[0].handler.exec: it is a list, " + wanted +
				"write the command on one line",
		},
		{
			handled("{exec: {command: [a, b]}}"),
			"4:31: subscriptions[0].handler.exec.command: it is a list, " +
				"but it must be a command line: write the command on one line",
		},
	}
}

// fieldNames are keys under another name, or in another place: they are not missing as well.
func fieldNames() []advice {
	return []advice{
		{
			strings.Replace(smallest, "subscriptions", "subscription", 1),
			`2:1: subscription: there is no key "subscription": did you mean "subscriptions"?`,
		},
		{
			strings.Replace(smallest, "handler", "handlr", 1),
			`4:5: subscriptions[0].handlr: there is no key "handlr": did you mean "handler"?`,
		},
		{
			strings.Replace(smallest, "handler: {exec: ./charge}", "exec: ./charge", 1),
			`4:5: subscriptions[0].exec: there is no key "exec": ` +
				"it belongs under subscriptions.handler",
		},
		{
			smallest + "nats_url: nats://h\n",
			`5:1: nats_url: there is no key "nats_url": write url below nats`,
		},
	}
}

// paths are written as in another language, or with a dot too many.
func paths() []advice {
	const member = " is not a member of the payload such as order.id"
	return []advice{
		{
			with("id: $.order.id"),
			`5:9: subscriptions[0].id: "$.order.id"` + member + ": write order.id",
		},
		{
			with("id: .order.id"),
			`5:9: subscriptions[0].id: ".order.id"` + member + ": write order.id",
		},
		{with("id: $order"), `5:9: subscriptions[0].id: "$order"` + member + holds("order")},
		{
			strings.Replace(smallest, "order.placed", "order.placed.", 1),
			`3:12: subscriptions[0].topic: topic "order.placed." ends with a dot: remove it`,
		},
	}
}

// One mistake is one problem, which says what to write.
func TestOneMistakeIsOneProblem(t *testing.T) {
	t.Parallel()
	for _, a := range slices.Concat(variables(), mappings(), fieldNames(), paths()) {
		var got []string
		for _, p := range lint("worker.yaml", []byte(a.file), env(nil)) {
			got = append(got, strings.TrimPrefix(p.String(), "worker.yaml:"))
		}
		if said := strings.Join(got, "\n"); said != a.want {
			t.Errorf("%s\nsays\n%s\nwant\n%s", a.file, said, a.want)
		}
	}
}
