module.exports = { experimental: { turbopackFileSystemCacheForBuild: true, turbopackFileSystemCacheForDev: true } };
