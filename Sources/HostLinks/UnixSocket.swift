#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Stream sockets with a name in the file system.
enum UnixSocket {
  /// Why there is none, for a message.
  struct Failure: Error {
    var reason: String
  }

  /// A listening socket that only this user may connect to. One that a process left behind is replaced; another file is not.
  static func listen(_ path: String) throws(Failure) -> Int32 {
    var status = stat()
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
    return try open(path) { descriptor, address, size in
      // Before `listen` nobody can connect.
      bind(descriptor, address, size) == 0 && chmod(path, 0o600) == 0 && Glibc.listen(descriptor, 4) == 0
    }
  }

  static func connect(_ path: String) throws(Failure) -> Int32 {
    try open(path) { descriptor, address, size in Glibc.connect(descriptor, address, size) == 0 }
  }

  private static func open(_ path: String, _ use: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Bool) throws(Failure) -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Failure(reason: systemError()) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      close(descriptor)
      throw Failure(reason: "the path is too long for a socket")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let done = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { use(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    guard done else {
      let reason = systemError()
      close(descriptor)
      throw Failure(reason: reason)
    }
    return descriptor
  }
}
