// What users import as CacheCore: every room of the core.
@_exported public import CacheBase
@_exported public import CacheChunks
@_exported public import CacheCrypto
@_exported public import CacheErofs
@_exported public import CacheFiles
@_exported public import CacheImages
@_exported public import CacheLayers
@_exported public import CacheManifests
@_exported public import CacheObjectStore
@_exported public import CacheStore
