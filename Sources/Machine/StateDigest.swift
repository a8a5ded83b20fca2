import CCrypto
import CHost

/// SHA-256 of what a run ended with: two runs with the same inputs have the same.
struct StateDigest: ~Copyable {
  // Invariant: `context` is OpenSSL's own allocation, freed with the value.
  private let context: OpaquePointer

  init() {
    guard let context = EVP_MD_CTX_new() else { ph_host_lacks("memory for a digest") }
    self.context = context
    EVP_DigestInit_ex(context, EVP_sha256(), nil)
  }

  deinit { EVP_MD_CTX_free(context) }

  mutating func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

  mutating func update(_ value: UInt64) {
    var little = value.littleEndian
    withUnsafeBytes(of: &little) { update($0) }
  }

  mutating func update(_ text: String) {
    var text = text
    update(UInt64(text.utf8.count))
    text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
  }

  /// The digest as "sha256:" and 64 hexadecimal digits.
  consuming func finish() -> String {
    var bytes = [UInt8](repeating: 0, count: 32)
    EVP_DigestFinal_ex(context, &bytes, nil)
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return "sha256:" + String(decoding: text, as: UTF8.self)
  }
}
