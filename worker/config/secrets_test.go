package config_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/onceish/onceish/worker/config"
)

const password = "hunter2"

// silent fails if a file's problems say the password.
func silent(t *testing.T, file string, variables map[string]string) (problems int) {
	t.Helper()
	all := lint("worker.yaml", []byte(file), env(variables))
	inJSON, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{all.Error(), fmt.Sprint(all), string(inJSON)} {
		if strings.Contains(said, password) {
			t.Fatalf("%s\nsays %s", file, said)
		}
	}
	return len(all)
}

// Whatever a variable holds, in whatever key, no message has it.
func TestSecretsInVariablesAreNotShown(t *testing.T) {
	t.Parallel()
	values := []string{
		password, password + " " + password, "\n" + password, password + "\x00", "-" + password, "5" + password, "http://u:" + password + "@", "nats://" + password + "@ x",
		"mongodb+srv://" + password, "${" + password + "}", strings.Repeat(password, 40), password + "/s", "1" + password + "s", password + ".>", "\xff" + password, "",
	}
	files, defaults := swapped(t, "${SECRET}"), swapped(t, "x${SECRET:"+password+"}y")
	swept, found := 0, 0
	for _, value := range values {
		variables := map[string]string{"SECRET": value}
		for i := range files {
			swept++
			found += silent(t, files[i], variables) + silent(t, defaults[i], variables)
		}
		file := strings.NewReplacer("billing", "${SECRET}", "order.placed", "${SECRET}", "refund.wanted", "${SECRET}", "order.cancelled", "${SECRET}",
			"7d", "${SECRET}", "5s", "${SECRET}").Replace(string(config.Example()))
		found += silent(t, file, variables)
	}
	if swept < 30*len(values) || found < 15*len(values) {
		t.Errorf("%d values were swept, with %d problems", swept, found)
	}
}

// swapped are the examples with another value in place of one.
func swapped(t *testing.T, value string) (files []string) {
	t.Helper()
	var root yaml.Node
	if err := yaml.Load(config.Example(), &root); err != nil {
		t.Fatal(err)
	}
	for _, n := range scalars(root.Content[0], nil) {
		before := *n
		*n = yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: value}
		out, err := yaml.Dump(&root)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(out))
		*n = before
	}
	return files
}

func scalars(n *yaml.Node, found []*yaml.Node) []*yaml.Node {
	for i, c := range n.Content {
		if c.Kind == yaml.ScalarNode && (n.Kind == yaml.SequenceNode || i%2 == 1) {
			found = append(found, c)
		}
		found = scalars(c, found)
	}
	return found
}

// Whatever stands in a key that is secret, read as YAML or not, no message has it.
func TestSecretsInSecretKeysAreNotShown(t *testing.T) {
	t.Parallel()
	forms := []string{
		"%s", "'%s'", "'%s x'", "*%s", "&%s", "!%s", "!%s x", "!<%s> x", "@%s", "`%s", "\"%s", "'%s", "\"\\q%s\"", "[%s]", "{a: %s}", "{? [%s] : x}", "|%s", ">%s", "- %s", "x: %s",
		"%%%s", "http://u:%s@", "nats://u:%s@h:x", "nats://u:p@%s:99999", "'http://u:%s@h x'", "'http://%%zz%s'", "mongodb:/u:%s@h", "ftp://u:%s@h", "http://h/#%s", "12 # %s", "\t%s",
		"\"a\\n%s\"", "\"\\x00%s\"", "${%s", "${A:-%s}", "${A%s", "\x01%s", "\xff%s", "<<: %s", "? %s", "#%s",
	}
	places := []string{
		"nats: {url: @}\n" + smallest, "nats:\n  url: @\n" + smallest, "mongo:\n  uri: @\n" + smallest, "nats: @\n" + smallest, "mongo: @\n" + smallest,
		handled("\n      http: @"), handled("\n      http: {url: @}"), handled("\n      http:\n        url: @"),
		handled("\n      http:\n        url: http://h\n        headers: @"), handled("\n      http:\n        url: http://h\n        headers:\n          Authorization: @"),
		handled("\n      http:\n        url: http://h\n        headers: {Authorization: @, authorization: @}"),
		handled("\n      http:\n        url: http://h\n        signing: @"), handled("\n      http:\n        url: http://h\n        signing: {secrets: @}"),
		handled("\n      http:\n        url: http://h\n        signing: {secrets: [@]}"), handled("\n      http:\n        url: http://h\n        signing: {secrets: [whsec_@]}"),
	}
	found := 0
	for _, form := range forms {
		for _, place := range places {
			if form == "{a: %s}" && strings.Contains(place, "headers: @") {
				continue // a header
			}
			found += silent(t, strings.ReplaceAll(place, "@", fmt.Sprintf(form, password)), nil)
		}
	}
	if found < len(forms)*len(places)/2 {
		t.Errorf("only %d problems", found)
	}
}
