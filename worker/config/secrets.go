package config

// SecretKey is a key whose value is never shown, or that names files whose contents never are.
type SecretKey struct {
	// Path is that of the key, such as "nats.url". "[]" stands for each entry of a list.
	Path string
	// File reports whether the value is the name of a file.
	File bool
}

// SecretKeys returns all keys of the kind, in the order in which docs/configuration.md has them.
func SecretKeys() []SecretKey { return secretKeysBelow("", configFields().fieldInfos()) }

func secretKeysBelow(at string, infos []*fieldInfo) (found []SecretKey) {
	for _, f := range infos {
		path := joinPath(at, f.name)
		if f.secret || f.secretFile {
			found = append(found, SecretKey{path, f.secretFile})
		}
		if f.list {
			path += "[]"
		}
		found = append(found, secretKeysBelow(path, f.children)...)
	}
	return found
}
