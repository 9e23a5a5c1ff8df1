package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A file with secrets that everybody may read is refused where strict is set, whatever key
// names it.
func TestStrictRefusesSecretsThatEverybodyMayRead(t *testing.T) {
	t.Parallel()
	for key, form := range map[string]string{
		"nats.credentials": "nats: {credentials: %s}\n", "nats.nkey": "nats: {url: nats://h, nkey: %s}\n", "nats.tls.key": "nats: {url: nats://h, tls: {certificate: c, key: %s}}\n",
		"admin.token_file": "admin: {token_file: %s}\n", "admin.tls.key": "admin: {tls: {certificate: c, key: %s}}\n",
		"http.tls.key": "%s", "http.signing.files[0]": "%s",
	} {
		file := func(strict string, secret string) string {
			switch key {
			case "http.tls.key":
				return strict + handled("\n      http: {url: 'https://h', tls: {certificate: c, key: "+secret+"}}")
			case "http.signing.files[0]":
				return strict + handled("\n      http: {url: 'https://h', signing: {files: ["+secret+"]}}")
			}
			return strict + fmt.Sprintf(form, secret) + smallest
		}
		secret := filepath.Join(t.TempDir(), "secret")
		for mode, refused := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: false, 0o644: true, 0o604: true, 0o602: true, 0o660: false} {
			if err := os.WriteFile(secret, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(secret, mode); err != nil {
				t.Fatal(err)
			}
			problems := lint("worker.yaml", []byte(file("strict: true\n", secret)), env(nil))
			if (len(problems) > 0) != refused || refused && (!strings.Contains(problems.Error(), key) || !strings.Contains(problems.Error(), "chmod o-rwx")) {
				t.Errorf("%s, mode %#o: %v; want a refusal: %v", key, mode, problems, refused)
			}
			if problems := lint("worker.yaml", []byte(file("", secret)), env(nil)); len(problems) > 0 {
				t.Errorf("%s, mode %#o, not strict: %v", key, mode, problems)
			}
			if err := os.Chmod(secret, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if problems := lint("worker.yaml", []byte(file("strict: true\n", "/no/such")), env(nil)); len(problems) > 0 {
			t.Errorf("%s: a file that is not there is for whoever reads it: %v", key, problems)
		}
	}
}

// A password on the command line is refused where strict is set; one in the environment is not.
func TestStrictRefusesPasswordsOnTheCommandLine(t *testing.T) {
	clean(t)
	args := []string{"--topic", "t", "--group", "g", "--exec", "true"}
	for flag, variable := range map[string]string{"--nats": "NATS_URL", "--mongo": "MONGODB_URI"} {
		url := map[string]string{"--nats": "nats://u:" + password + "@h", "--mongo": "mongodb://u:" + password + "@h"}[flag]
		given := append(slices.Clone(args), flag, url)
		if _, _, err := load(t, "", given...); err != nil {
			t.Errorf("%s: %v", flag, err)
		}
		_, _, err := load(t, "", append(given, "--strict")...)
		if err == nil || !strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), variable) || strings.Contains(err.Error(), password) {
			t.Errorf("%s, strict: %v", flag, err)
		}
		t.Setenv(variable, url)
		c, _, err := load(t, "", append(args, "--strict")...)
		if err != nil || !c.Strict {
			t.Errorf("%s, strict: %v", variable, err)
		}
		t.Setenv(variable, "")
	}
}

// Strict is said by the file, a flag or a variable.
func TestStrictIsSaid(t *testing.T) {
	clean(t)
	for _, on := range []string{"1", "true", "TRUE"} {
		t.Setenv("ONCEISH_STRICT", on)
		if c, _, err := load(t, smallest); err != nil || !c.Strict {
			t.Errorf("%s: %v", on, err)
		}
		if c := parseConfig(t, smallest, map[string]string{"ONCEISH_STRICT": on}); !c.Strict {
			t.Errorf("%s: it is not taken", on)
		}
	}
	t.Setenv("ONCEISH_STRICT", "yes")
	if _, _, err := load(t, smallest); err == nil {
		t.Error("a variable that is neither true nor false is taken")
	}
	t.Setenv("ONCEISH_STRICT", "")
	for file, args := range map[string][]string{"strict: true\n" + smallest: nil, smallest: {"--strict"}} {
		if c, _, err := load(t, file, args...); err != nil || !c.Strict {
			t.Errorf("%q %q: %v", file, args, err)
		}
	}
	if c, _, err := load(t, "strict: true\n"+smallest, "--strict=false"); err != nil || c.Strict {
		t.Errorf("a flag goes before the file: %v", err)
	}
}
