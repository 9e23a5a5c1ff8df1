package config

import (
	"errors"
	"net"
	"strings"
)

// DefaultAdminAddress is where the HTTP API listens if nothing else is said.
const DefaultAdminAddress = "127.0.0.1:8488"

// Admin is an HTTP API for operators.
type Admin struct {
	// Address is a host and a port.
	Address string
	// Token is what requests must carry: do not show it. TokenFile is a file that has it. At most
	// one of them is set.
	Token, TokenFile string
	// Hosts are names by which clients reach it, separated by commas. Empty: that of Address.
	Hosts string
	// Prefix of its paths. Empty: none.
	Prefix string
	// ReadOnly refuses changes.
	ReadOnly bool
	// TLS are its files. Empty: it speaks plain HTTP.
	TLS AdminTLS
}

// AdminTLS are files in PEM. Empty: none.
type AdminTLS struct {
	// Certificate and Key are those of the server.
	Certificate, Key string
	// ClientCA are the authorities of clients, each of which must show a certificate.
	ClientCA string
}

// notServed is what holds where nobody says anything of an API, or of metrics.
const notServed = "none"

func adminKeys() []field[Admin] {
	return []field[Admin]{
		textField("address", "a host and a port such as "+DefaultAdminAddress, func(a *Admin) *string { return &a.Address }, validListenAddress(DefaultAdminAddress)).
			withDefault(DefaultAdminAddress).withDefaultText(DefaultAdminAddress+"; no API where nothing is said of it").
			withFlag("admin", "ADDRESS").describedAs("where an HTTP API for operators listens; one that other machines reach needs a token or client certificates"),
		textField("token", "16 to 4096 visible characters", func(a *Admin) *string { return &a.Token }, nil).markSecret().withDefaultText("$ONCEISH_ADMIN_TOKEN, or none").
			describedAs("what requests must carry, as Authorization: Bearer TOKEN"),
		textField("token_file", "a file", func(a *Admin) *string { return &a.TokenFile }, nil).withDefaultText("none").markSecretFile().
			withFlag("admin-token-file", "FILE").describedAs("file with the token, instead of token"),
		textField("hosts", "names such as billing.example, separated by commas", func(a *Admin) *string { return &a.Hosts }, nil).withDefaultText("that of the address").
			withFlag("admin-hosts", "NAMES").describedAs("names by which clients reach the API, without ports, separated by commas; others are refused"),
		textField("prefix", "a path such as /admin", func(a *Admin) *string { return &a.Prefix }, nil).withDefaultText("none").
			describedAs("what the paths of the API begin with"),
		boolField("read_only", func(a *Admin) *bool { return &a.ReadOnly }).
			withFlag("admin-read-only", "").describedAs("refuse changes over the API"),
		objectField("tls", "files in PEM for https", func(a *Admin) *AdminTLS { return &a.TLS },
			textField("certificate", "a file", func(t *AdminTLS) *string { return &t.Certificate }, nil).
				withFlag("admin-cert", "FILE").describedAs("file with the API's certificate"),
			textField("key", "a file", func(t *AdminTLS) *string { return &t.Key }, nil).markSecretFile().
				withFlag("admin-key", "FILE").describedAs("file with the key of the API's certificate"),
			textField("client_ca", "a file", func(t *AdminTLS) *string { return &t.ClientCA }, nil).
				withFlag("admin-client-ca", "FILE").describedAs("file with the authorities of client certificates, of which each client must show one")),
	}
}

// validListenAddress returns what refuses a text that is no host and port.
func validListenAddress(example string) func(string) error {
	return func(text string) error {
		if _, port, err := net.SplitHostPort(text); err != nil || port == "" || strings.ContainsAny(text, "/@") {
			return errors.New("it must be a host and a port, such as " + example)
		}
		return nil
	}
}
