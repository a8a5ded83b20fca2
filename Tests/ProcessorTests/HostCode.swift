#if arch(x86_64)
  #if canImport(Glibc)
    import Glibc
  #elseif canImport(Darwin)
    import Darwin
  #endif

  /// A page of code for the host's own processor, which some tests take the right results from. It stays as long as the process.
  struct HostCode {
    private let page: UnsafeMutableRawPointer

    /// Nil where the host gives no memory that is writable and executable.
    init?() {
      guard let page = mmap(nil, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), page != MAP_FAILED else {
        return nil
      }
      self.page = page
    }

    /// Puts a function there, instead of the one before.
    ///
    /// - Parameter type: an @convention(c) function's.
    func function<Function>(_ code: [UInt8], as type: Function.Type) -> Function {
      precondition(code.count <= 4096)
      code.withUnsafeBytes { page.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
      return unsafeBitCast(page, to: type)
    }
  }
#endif
